//! What is in the memory of a process at this moment?

use crate::live::process::Process;
use crate::memory::{Fault, FaultKind, Memory};
use memwhy_model::Addr;

/// The memory of a process, as it is at each read.
///
/// A page that nobody has touched is mapped by the read: a [`View`](crate::View) reads only what is
/// there, and is to be preferred where it will do.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a>(pub &'a Process);

impl Memory for Now<'_> {
    fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Fault> {
        let fault = |why| Fault { at: addr, why };
        match self.0.read(addr.0, buf) {
            Ok(got) if got == buf.len() => Ok(()),
            Ok(_) => Err(fault(FaultKind::Unmapped)),
            Err(error) => Err(fault(match error.raw_os_error() {
                Some(libc::ESRCH) => FaultKind::Gone,
                Some(libc::EPERM) => FaultKind::Denied,
                _ => FaultKind::Unmapped,
            })),
        }
    }
}
