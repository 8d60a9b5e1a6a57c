//! Which command finds the call that takes memory of these sizes?
//!
//! From outside memory is seen, not who asked for it. The sizes are known, and where `malloc` is: that
//! is what a probe needs.

use crate::wording::digits;
use memwhy_model::Case;

/// Commands to run next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The one to begin with.
    pub command: String,
    /// Others.
    pub instead: String,
}

/// The probe for chunks of `sizes`, from the smallest to the largest.
#[must_use]
pub fn call_site(case: &Case, sizes: (u64, u64)) -> Probe {
    let (from, to) = request_range(case, sizes);
    let (running, serving) = (case.about.running(), serving(case));
    Probe {
        command: format!(
            "bpftrace -p {running} -e 'uprobe:{serving}:malloc /arg0 >= {from} && arg0 <= {to}/ \
             {{ @[ustack(12)] = count(); }}'"
        ),
        instead: format!(
            "or gdb -p {running}: break malloc if $rdi >= {from} && $rdi <= {to}; memray attach \
             --native, heaptrack -p; from the start: MALLOC_CONF=prof:true with jemalloc, memray run \
             --native"
        ),
    }
}

/// `asked for as 1,785 to 1,800 B`.
#[must_use]
pub fn requests(case: &Case, sizes: (u64, u64)) -> String {
    let (from, to) = request_range(case, sizes);
    format!("asked for as {} to {} B", digits(from), digits(to))
}

/// The file whose `malloc` is called.
fn serving(case: &Case) -> &str {
    if let Some(stand_in) = &case.stand_in {
        return &stand_in.image;
    }
    let mut names = case.mappings.iter().map(|mapping| mapping.name.as_str());
    let libc = names.find(|name| {
        let file = name.rsplit('/').next().unwrap_or_default();
        file.starts_with("libc.so.") || file.starts_with("libc-2.")
    });
    libc.unwrap_or("libc.so.6")
}

/// What a program asked for to get chunks of these sizes.
fn request_range(case: &Case, (least, most): (u64, u64)) -> (u64, u64) {
    if case.stand_in.as_ref().is_some_and(|stand_in| stand_in.name == "musl") {
        // It writes down how much was asked for; a block ends with the unit of 16 bytes behind it.
        return (least.saturating_sub(16), most.saturating_sub(1));
    }
    if case.stand_in.is_some() {
        // Sizes of blocks are an eighth apart at most, or a page of 8 KiB where they are large:
        // `SizeMap::Init` of gperftools, `mi_bin` of mimalloc.
        let apart = (least / 8).max(if least > 32 << 10 { 8 << 10 } else { 16 });
        return (least.saturating_sub(apart), most);
    }
    // `request2size`: 8 bytes of header, rounded up to 16; 32 is the least.
    let from = if least <= 32 { 0 } else { least.saturating_sub(23) };
    (from, most.saturating_sub(8))
}

#[cfg(test)]
mod tests {
    use super::{call_site, requests};
    use memwhy_model::{Case, StandIn};

    #[test]
    fn the_probe_is_put_where_malloc_is_and_knows_its_sizes() {
        let glibc = Case::default();
        let command = call_site(&glibc, (4112, 4112)).command;
        assert!(command.contains("libc.so.6:malloc /arg0 >= 4089 && arg0 <= 4104/"), "{command}");
        assert_eq!(requests(&glibc, (32, 48)), "asked for as 0 to 40 B");
        let mut mine = StandIn { image: "/usr/lib/libmine.so".into(), ..StandIn::default() };
        let of = |stand_in: &StandIn| Case { stand_in: Some(stand_in.clone()), ..Case::default() };
        let command = call_site(&of(&mine), (4112, 4112)).command;
        assert!(command.contains("uprobe:/usr/lib/libmine.so:malloc"), "{command}");
        assert!(command.contains("arg0 >= 3598 && arg0 <= 4112"), "{command}");
        mine.name = "musl".into();
        assert_eq!(requests(&of(&mine), (32, 48)), "asked for as 16 to 47 B");
    }
}
