//! Which object does the command line name?

use super::failure::Failure;
use memwhy_reason::{Ask, Meant, meant};

/// Finds what `text` means.
pub(super) fn find(ask: &Ask<'_>, text: &str) -> Result<Meant, Failure> {
    meant(ask, text).map_err(|what| Failure::Other {
        what,
        advice: "an address (0x7f…), a type (app.models.Session), or an expression that begins \
                 with a module: app.cache.LAST['body'][3]"
            .into(),
    })
}
