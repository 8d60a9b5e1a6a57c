//! What `functools.lru_cache` makes: a dict of links, which are also a chain in the order of use.
//! The dict and the cache have references to each link, the links none to each other. Source:
//! `Modules/_functoolsmodule.c`, `bounded_lru_cache_wrapper`, `lru_cache_clear_list`.

use super::Kind;
use super::any;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::Fault;

#[derive(Debug)]
pub(super) struct Cache;
#[derive(Debug)]
pub(super) struct Link;

pub(super) static CACHE: Cache = Cache;
pub(super) static LINK: Link = Link;

impl Kind for Cache {
    fn names(&self) -> &'static [&'static str] {
        &["functools._lru_cache_wrapper"]
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let (start, end) = (object.layouts.object.size, object.basic_size()?);
        let (Some(fields), Some(link)) = (object.layouts.lru_cache, object.layouts.lru_link) else {
            return any::fields(object, start, end, each);
        };
        any::fields(object, fields.root.offset + link.size, end, each)?;
        // The chain begins with a link that is no object of its own, and ends there.
        let root = object.addr.at(fields.root.offset);
        let remembered = fields.cache.read(object.memory, object.addr)?;
        let count = match remembered {
            Some(cache) => object.layouts.dict_object.ma_used.read(object.memory, cache)?,
            None => 0,
        };
        let mut at = link.next.read(object.memory, root)?;
        for _ in 0..count {
            let Some(here) = at.filter(|here| *here != root) else { break };
            each(here);
            at = link.next.read(object.memory, here)?;
        }
        Ok(())
    }
}

impl Kind for Link {
    fn names(&self) -> &'static [&'static str] {
        &["functools._lru_list_elem"]
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        let Some(fields) = object.layouts.lru_link else { return Ok(()) };
        each(Addr(object.word(fields.key.offset)?));
        each(Addr(object.word(fields.result.offset)?));
        Ok(())
    }
}
