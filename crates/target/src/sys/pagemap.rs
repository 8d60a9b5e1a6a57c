//! Which pages are present? `PAGEMAP_SCAN` (Linux 6.7), asked through `/proc/PID/pagemap`.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// `_IOWR('f', 16, struct pm_scan_arg)` of `linux/fs.h`.
const PAGEMAP_SCAN: libc::c_ulong = 0xc060_6610;
/// The page belongs to a file or to shared memory.
pub const IS_FILE: u64 = 1 << 2;
/// The page is in memory.
pub const IS_PRESENT: u64 = 1 << 3;
/// The page is the kernel's page of zeroes.
pub const IS_ZERO: u64 = 1 << 5;

/// The page is part of a huge one.
pub const IS_HUGE: u64 = 1 << 6;

/// Neighbouring pages of the same categories, as the kernel states them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub start: u64,
    /// First address after.
    pub end: u64,
    /// Which of the categories hold.
    pub categories: u64,
}

#[repr(C)]
#[derive(Default)]
struct ScanArg {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// Lists the present pages of `start..end` into `regions`; returns how many it filled and where
/// the walk ended, which is `end` when all was seen.
///
/// # Errors
/// `ENOTTY` on kernels without it, `ESRCH` when the process is gone.
pub fn scan(
    pagemap: &File,
    start: u64,
    end: u64,
    regions: &mut [Region],
) -> io::Result<(usize, u64)> {
    let mut arg = ScanArg {
        size: size_of::<ScanArg>() as u64,
        start,
        end,
        vec: regions.as_mut_ptr() as u64,
        vec_len: regions.len() as u64,
        category_mask: IS_PRESENT,
        return_mask: IS_PRESENT | IS_FILE | IS_ZERO | IS_HUGE,
        ..ScanArg::default()
    };
    // SAFETY: `arg` has the layout and the size that the kernel expects and states; `vec` and
    // `vec_len` describe `regions`, which we borrow mutably and whose elements are plain numbers.
    let filled = unsafe { libc::ioctl(pagemap.as_raw_fd(), PAGEMAP_SCAN, &raw mut arg) };
    let filled = usize::try_from(filled).map_err(|_| io::Error::last_os_error())?;
    Ok((filled.min(regions.len()), arg.walk_end))
}
