//! Ordered dicts: a dict and a chain of its keys. Source: `Objects/odictobject.c`,
//! `odict_sizeof`.

use super::Kind;
use super::dict;
use crate::object::Object;
use memwhy_model::Addr;
use memwhy_target::Fault;

/// Chains are no longer than the dict itself is believed to be.
const MOST_NODES: u64 = 1 << 28;

#[derive(Debug)]
pub(super) struct OrderedDict;

pub(super) static ORDERED_DICT: OrderedDict = OrderedDict;

impl Kind for OrderedDict {
    fn names(&self) -> &'static [&'static str] {
        &["collections.OrderedDict"]
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let size = dict::shallow(object)?;
        let layouts = object.layouts;
        let (Some(fields), Some(node)) = (layouts.ordered_dict, layouts.ordered_dict_node) else {
            return Ok(size);
        };
        let fast = object.word(fields.fast_nodes_size.offset)?;
        let used = object.word(layouts.dict_object.ma_used.offset)?;
        let extra = fast.checked_mul(8).zip(used.checked_mul(node.size));
        let extra = extra.and_then(|(fast, nodes)| fast.checked_add(nodes));
        let extra = extra.filter(|extra| *extra < 1 << 47).ok_or(Fault::too_long(object.addr))?;
        Ok(size + extra)
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        dict::pointers(object, each)?;
        let layouts = object.layouts;
        let (Some(fields), Some(node)) = (layouts.ordered_dict, layouts.ordered_dict_node) else {
            return Ok(());
        };
        let used = object.word(layouts.dict_object.ma_used.offset)?.min(MOST_NODES);
        let mut at = fields.first.read(object.memory, object.addr)?;
        for _ in 0..used {
            let Some(here) = at else { break };
            each(here);
            at = node.next.read(object.memory, here)?;
        }
        Ok(())
    }
}
