//! `lru_cache_object`: what `functools.lru_cache` returns.
//!
//! Source: `Modules/_functoolsmodule.c`.

use crate::layout::{Field, Inline, Member, Ptr, Row, Shape, Spot, Table, at};
use crate::version::v3;

/// Where things are in `lru_cache_object`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LruCache {
    /// `sizeof`.
    pub size: u64,
    /// A [`super::lru_link::LruLink`]: the ends of the list.
    pub root: Field<Inline>,
    /// The dict.
    pub cache: Field<Ptr>,
    /// The function.
    pub func: Field<Ptr>,
    /// -1 if unbounded.
    pub maxsize: Field<i64>,
    /// How often it knew the answer.
    pub hits: Field<i64>,
    /// How often it did not.
    pub misses: Field<i64>,
    /// Separates keywords in keys.
    pub kwd_mark: Option<Field<Ptr>>,
    /// The type of a link.
    pub lru_list_elem_type: Option<Field<Ptr>>,
    /// The type of `cache_info()`.
    pub cache_info_type: Field<Ptr>,
    /// Its attributes.
    pub dict: Field<Ptr>,
}

/// Every layout of the struct, oldest first.
pub const LRU_CACHE: Table<LruCache> = Table(&[
    Row {
        since: v3(6),
        free_threaded: false,
        layout: LruCache {
            size: 144,
            root: at("root", 0),
            cache: at("cache", 88),
            func: at("func", 72),
            maxsize: at("maxsize", 56),
            hits: at("hits", 112),
            misses: at("misses", 104),
            kwd_mark: None,
            lru_list_elem_type: None,
            cache_info_type: at("cache_info_type", 96),
            dict: at("dict", 128),
        },
    },
    Row {
        since: v3(7),
        free_threaded: false,
        layout: LruCache {
            size: 128,
            root: at("root", 0),
            cache: at("cache", 72),
            func: at("func", 88),
            maxsize: at("maxsize", 96),
            hits: at("hits", 80),
            misses: at("misses", 104),
            kwd_mark: None,
            lru_list_elem_type: None,
            cache_info_type: at("cache_info_type", 112),
            dict: at("dict", 120),
        },
    },
    Row {
        since: v3(9),
        free_threaded: false,
        layout: LruCache {
            size: 136,
            root: at("root", 0),
            cache: at("cache", 72),
            func: at("func", 88),
            maxsize: at("maxsize", 96),
            hits: at("hits", 80),
            misses: at("misses", 104),
            kwd_mark: None,
            lru_list_elem_type: None,
            cache_info_type: at("cache_info_type", 112),
            dict: at("dict", 120),
        },
    },
    Row {
        since: v3(10),
        free_threaded: false,
        layout: LruCache {
            size: 152,
            root: at("root", 0),
            cache: at("cache", 72),
            func: at("func", 88),
            maxsize: at("maxsize", 96),
            hits: at("hits", 80),
            misses: at("misses", 104),
            kwd_mark: Some(at("kwd_mark", 112)),
            lru_list_elem_type: Some(at("lru_list_elem_type", 120)),
            cache_info_type: at("cache_info_type", 128),
            dict: at("dict", 136),
        },
    },
    Row {
        since: v3(13),
        free_threaded: true,
        layout: LruCache {
            size: 168,
            root: at("root", 0),
            cache: at("cache", 88),
            func: at("func", 104),
            maxsize: at("maxsize", 112),
            hits: at("hits", 96),
            misses: at("misses", 120),
            kwd_mark: Some(at("kwd_mark", 128)),
            lru_list_elem_type: Some(at("lru_list_elem_type", 136)),
            cache_info_type: at("cache_info_type", 144),
            dict: at("dict", 152),
        },
    },
]);

impl Shape for LruCache {
    const C_NAMES: &'static [&'static str] = &["lru_cache_object"];

    fn size_mut(&mut self) -> &mut u64 {
        &mut self.size
    }

    fn visit(&mut self, visit: &mut dyn FnMut(Spot<'_>)) {
        let of = "lru_cache_object";
        self.root.visit_in(of, visit);
        self.cache.visit_in(of, visit);
        self.func.visit_in(of, visit);
        self.maxsize.visit_in(of, visit);
        self.hits.visit_in(of, visit);
        self.misses.visit_in(of, visit);
        self.kwd_mark.visit_in(of, visit);
        self.lru_list_elem_type.visit_in(of, visit);
        self.cache_info_type.visit_in(of, visit);
        self.dict.visit_in(of, visit);
    }
}
