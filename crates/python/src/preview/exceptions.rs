//! Exceptions. Source: `Objects/exceptions.c: BaseException_repr`.

use super::subject::Subject;
use super::writer::Writer;
use super::{Family, Write};
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

pub(super) static FAMILY: Family =
    &[(&["BaseException", "exceptions.BaseException"], exception as Write)];

fn exception(writer: &mut Writer<'_>, subject: &Subject) -> Result<(), Fault> {
    let (memory, layouts) = (writer.memory, writer.layouts);
    let args = layouts.base_exception.args.read(memory, subject.addr)?;
    let args = args.ok_or(Fault::unmapped(subject.addr))?;
    let count = layouts.var_object.ob_size.read(memory, args)?;
    let count = u64::try_from(count).map_err(|_| Fault::too_long(args))?;
    let wanted = count.min(writer.worth_reading() as u64);
    let items = memory.words(layouts.tuple_object.ob_item.addr(args), wanted, 1 << 16)?;
    let items: Vec<Addr> = items.into_iter().map(Addr).collect();
    let lone_comma = count == 1 && layouts.wording.one_argument_comma;
    let open = format!("{}(", subject.short_name());
    writer.items(&open, if lone_comma { ",)" } else { ")" }, &items, count);
    Ok(())
}
