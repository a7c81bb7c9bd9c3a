//! Memory for a credential: mapped where not even the kernel's own mapping shows it, for one call.
//!
//! [`SecretBytes`] has no `Debug`, `Display`, `Clone` or `Serialize`. It lives in `memfd_secret`
//! memory, whose descriptor is closed at once, is left out of forks and dumps, and is zeroed when
//! dropped; a kernel without `memfd_secret` gets locked memory. [`ZeroizingAllocator`] wipes what
//! TLS and HTTP must copy onto the heap.
//!
//! ```compile_fail,E0277
//! fn show(secret: writ_jail::secret_memory::SecretBytes) { println!("{secret:?}"); }
//! ```

#![expect(unsafe_code, reason = "secret memory is mapped and wiped by hand (DESIGN §13)")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ffi::c_void,
    os::fd::{FromRawFd as _, OwnedFd},
    ptr::NonNull,
};

use rustix::{
    fs::ftruncate,
    io::Errno,
    mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap, mmap_anonymous, munmap},
};
use zeroize::Zeroize as _;

/// Bytes of one mapping: a credential is at most this long.
const CAPACITY: usize = 64 * 1024;

/// A credential could not be kept in secret memory, so it is not kept at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretMemoryError {
    /// No memory could be mapped or locked.
    #[error("no secret memory is to be had")]
    Unavailable,
    /// The credential is longer than 64 KiB.
    #[error("the credential is longer than {CAPACITY} bytes")]
    TooLong,
}

/// A credential in memory.
pub struct SecretBytes {
    start: NonNull<u8>,
    length: usize,
}

impl SecretBytes {
    /// Moves bytes into secret memory and wipes where they were.
    ///
    /// # Errors
    ///
    /// [`SecretMemoryError`]; the bytes are wiped either way.
    pub fn take(bytes: &mut [u8]) -> Result<Self, SecretMemoryError> {
        let taken = Self::copy(bytes);
        bytes.zeroize();
        taken
    }

    fn copy(bytes: &[u8]) -> Result<Self, SecretMemoryError> {
        if bytes.len() > CAPACITY {
            return Err(SecretMemoryError::TooLong);
        }
        let start = map().map_err(|_| SecretMemoryError::Unavailable)?;
        // SAFETY: `start` is a fresh private mapping of CAPACITY writable bytes that nothing else
        // refers to, and `bytes` is at most that long.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start.as_ptr(), bytes.len()) };
        Ok(Self { start, length: bytes.len() })
    }

    /// The bytes, for as long as the borrow.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        // SAFETY: `length` bytes from `start` were written by `copy` and stay mapped until drop.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, writable and CAPACITY bytes long; nothing borrows it now.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.as_ptr(), CAPACITY).zeroize();
            // Failing to unmap wiped memory leaks addresses, no secret.
            let _ = munmap(self.start.as_ptr().cast::<c_void>(), CAPACITY);
        }
    }
}

/// Maps secret memory, or locked memory where the kernel has none.
fn map() -> Result<NonNull<u8>, Errno> {
    let mapped = secret_mapping().or_else(|_| locked_mapping())?;
    // SAFETY: the range was just mapped; the advice changes forks and dumps only.
    unsafe {
        madvise(mapped, CAPACITY, Advice::LinuxDontFork)?;
        madvise(mapped, CAPACITY, Advice::LinuxDontDump)?;
    }
    NonNull::new(mapped.cast::<u8>()).ok_or(Errno::NOMEM)
}

fn secret_mapping() -> Result<*mut c_void, Errno> {
    // SAFETY: the call takes flags and returns a new descriptor or an error; it touches no memory.
    let opened = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let number = i32::try_from(opened).ok().filter(|number| *number >= 0).ok_or(Errno::NOSYS)?;
    // SAFETY: the descriptor was just opened, and nothing else owns it.
    let file = unsafe { OwnedFd::from_raw_fd(number) };
    ftruncate(&file, CAPACITY as u64)?;
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice; the file is only ours, and its
    // descriptor closes as this function ends.
    unsafe { mmap(std::ptr::null_mut(), CAPACITY, protection, MapFlags::SHARED, &file, 0) }
}

fn locked_mapping() -> Result<*mut c_void, Errno> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice.
    let mapped =
        unsafe { mmap_anonymous(std::ptr::null_mut(), CAPACITY, protection, MapFlags::PRIVATE)? };
    // SAFETY: the range was just mapped.
    unsafe { mlock(mapped, CAPACITY)? };
    Ok(mapped)
}

/// The system's allocator, which wipes what it frees.
pub struct ZeroizingAllocator;

// SAFETY: every method hands the system allocator exactly the pointers and layouts that it was
// given, after wiping memory that the caller has given up.
unsafe impl GlobalAlloc for ZeroizingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller owns `layout.size()` bytes from `pointer` and gives them up.
        unsafe {
            std::slice::from_raw_parts_mut(pointer, layout.size()).zeroize();
            System.dealloc(pointer, layout);
        }
    }

    // `realloc` is the trait's own: allocate, copy, `dealloc` above.
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_wiped_where_it_was() {
        let mut bytes = *b"a credential";
        let secret = SecretBytes::take(&mut bytes).unwrap();
        assert_eq!(secret.expose(), b"a credential");
        assert_eq!(bytes, [0; 12]);
    }

    #[test]
    fn what_is_too_long_is_refused_and_wiped() {
        let mut bytes = vec![7; CAPACITY + 1];
        assert!(SecretBytes::take(&mut bytes).is_err());
        assert!(bytes.iter().all(|byte| *byte == 0));
    }
}
