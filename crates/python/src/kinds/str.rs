//! Text. Source: `Objects/unicodeobject.c`, `unicode___sizeof___impl`.

use super::Kind;
use super::flat::subclass_fields;
use crate::layout::tables::unicode_object::UnicodeText;
use crate::layout::{Layouts, TypeFlags};
use crate::object::Object;
use crate::types::TypeInfo;
use memwhy_model::Addr;
use memwhy_target::{Fault, MemoryExt};

/// `sizeof(wchar_t)` on Linux.
const WIDE: u64 = 4;

#[derive(Debug)]
pub(super) struct Str;

pub(super) static STR: Str = Str;

impl Kind for Str {
    fn names(&self) -> &'static [&'static str] {
        &["str"]
    }

    fn flag(&self) -> Option<u64> {
        Some(TypeFlags::UNICODE_SUBCLASS)
    }

    /// `tp_basicsize` is that of the largest form; most strings are of the smallest.
    fn least(&self, layouts: &Layouts, ty: &TypeInfo) -> u64 {
        layouts.ascii_object.map_or(ty.basicsize, |ascii| ascii.size)
    }

    fn shallow(&self, object: &Object<'_>) -> Result<u64, Fault> {
        let fault = Fault::too_long(object.addr);
        let bytes = |units: u64, width: u64| {
            units.checked_add(1).and_then(|n| n.checked_mul(width)).ok_or(fault)
        };
        let Some(form) = Form::of(object)? else {
            let UnicodeText::Units { length, .. } = object.layouts.unicode_object.text else {
                return object.basic_size();
            };
            let text = bytes(object.word(length.offset)?, object.layouts.unicode_unit)?;
            return Ok(object.layouts.unicode_object.size + text);
        };
        let mut size = form.header.saturating_add(bytes(form.length, form.width)?);
        if form.utf8.is_some() {
            size = size.saturating_add(form.utf8_length.saturating_add(1));
        }
        if let Some((_, length)) = form.wide {
            size = size.saturating_add(bytes(length, WIDE)?);
        }
        Ok(size)
    }

    /// `SSTATE_NOT_INTERNED` is zero in every release. In 2.7 only `str` is interned.
    fn is_interned(&self, object: &Object<'_>) -> bool {
        let state = object.layouts.ascii_object.and_then(|ascii| ascii.interned.from(object.head));
        state.is_some_and(|state| state != 0)
    }

    fn pointers(&self, object: &Object<'_>, each: &mut dyn FnMut(Addr)) -> Result<(), Fault> {
        match Form::of(object)? {
            Some(form) => {
                let buffers = [form.utf8, form.wide.map(|(at, _)| at), form.elsewhere];
                buffers.into_iter().flatten().for_each(&mut *each);
            }
            None => {
                if let UnicodeText::Units { str, defenc, .. } = object.layouts.unicode_object.text {
                    each(Addr(object.word(str.offset)?));
                    each(Addr(object.word(defenc.offset)?));
                }
            }
        }
        subclass_fields(object, each)
    }
}

/// One of the three forms that text has since 3.3.
struct Form {
    header: u64,
    length: u64,
    width: u64,
    /// A cached encoding of its own.
    utf8: Option<Addr>,
    utf8_length: u64,
    /// A cached `wchar_t` copy of its own, up to 3.11, with its length.
    wide: Option<(Addr, u64)>,
    /// The text, of the form that does not carry it.
    elsewhere: Option<Addr>,
}

impl Form {
    /// `None` in 2.7.
    fn of(object: &Object<'_>) -> Result<Option<Self>, Fault> {
        let layouts = object.layouts;
        let (Some(ascii), Some(compact)) = (layouts.ascii_object, layouts.compact_unicode) else {
            return Ok(None);
        };
        let bits = |bits: crate::layout::Bits| match bits.from(object.head) {
            Some(value) => Ok(value),
            None => bits.read(object.memory, object.addr),
        };
        let word = |offset| object.word(offset).map(|word| (word != 0).then_some(Addr(word)));
        let (is_compact, is_ascii) = (bits(ascii.compact)? != 0, bits(ascii.ascii)? != 0);
        let mut form = Self {
            header: layouts.unicode_object.size,
            length: object.word(ascii.length.offset)?,
            width: u64::from(bits(ascii.kind)?),
            utf8: None,
            utf8_length: 0,
            wide: None,
            elsewhere: None,
        };
        let data = match (is_compact, is_ascii) {
            (true, true) => {
                (form.header, form.width) = (ascii.size, 1);
                Some(object.addr.at(ascii.size))
            }
            (true, false) => {
                form.header = compact.size;
                Some(object.addr.at(compact.size))
            }
            (false, _) => {
                if let UnicodeText::Elsewhere(text) = layouts.unicode_object.text {
                    form.elsewhere = word(text.offset)?;
                }
                form.elsewhere
            }
        };
        if !(is_compact && is_ascii) {
            form.utf8 = word(compact.utf8.offset)?.filter(|at| Some(*at) != data);
            form.utf8_length = object.word(compact.utf8_length.offset)?;
        }
        if form.length >= 1 << 47 || form.utf8_length >= 1 << 47 {
            return Err(Fault::too_long(object.addr));
        }
        if let Some(wstr) = ascii.wstr
            && let Some(at) = word(wstr.offset)?.filter(|at| Some(*at) != data)
        {
            // `wstr_length` follows the fields of the compact form; ASCII text has its own length.
            let own = if is_compact && is_ascii { ascii.length.offset } else { compact.size - 8 };
            form.wide = Some((at, object.memory.u64(object.addr.at(own))?.min(1 << 47)));
        }
        Ok(Some(form))
    }
}
