//! Objects of C with memory that holds no references: state of compressors, of locks, of
//! directories that are being read. It was used before, and what was there then may still be.

use super::Kind;

#[derive(Debug)]
pub(super) struct Opaque;

pub(super) static OPAQUE: Opaque = Opaque;

impl Kind for Opaque {
    fn names(&self) -> &'static [&'static str] {
        &[
            "PyCapsule",
            "_bz2.BZ2Compressor",
            "_bz2.BZ2Decompressor",
            "_hashlib.HASH",
            "_lzma.LZMACompressor",
            "_lzma.LZMADecompressor",
            "_multiprocessing.Connection",
            "_random.Random",
            "_socket.socket",
            "_thread.RLock",
            "_thread.lock",
            "bz2.BZ2Compressor",
            "bz2.BZ2Decompressor",
            "mmap.mmap",
            "posix.ScandirIterator",
            "select.epoll",
            "select.poll",
            "thread.lock",
            "zlib.Compress",
            "zlib.Decompress",
            "zlib._ZlibDecompressor",
        ]
    }

    fn leads_to_memory(&self) -> bool {
        true
    }
}
