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
//! ```compile_fail,E0277
//! fn show(secret: writ_jail::secret_memory::SecretBytes) { println!("{secret}"); }
//! ```
//! ```compile_fail,E0599
//! fn twice(secret: writ_jail::secret_memory::SecretBytes) { let _ = secret.clone(); }
//! ```
//! ```compile_fail,E0277
//! fn send(secret: writ_jail::secret_memory::SecretBytes) { let _ = serde_json::to_vec(&secret); }
//! ```

#![expect(unsafe_code, reason = "secret memory is mapped and wiped by hand (DESIGN §13)")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ffi::c_void,
    mem::MaybeUninit,
    os::fd::{FromRawFd as _, OwnedFd},
    ptr::NonNull,
};

use rustix::{
    fs::ftruncate,
    io::Errno,
    mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap, mmap_anonymous, munmap},
};
use zeroize::Zeroize as _;

/// Longest credential, in bytes: one mapping.
pub const SECRET_MAX: usize = 64 * 1024;

/// A credential could not be kept in secret memory, so it is not kept at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretMemoryError {
    /// No memory could be mapped or locked.
    #[error("no secret memory is to be had")]
    Unavailable,
    /// The credential is longer than 64 KiB.
    #[error("the credential is longer than {SECRET_MAX} bytes")]
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
        if bytes.len() > SECRET_MAX {
            return Err(SecretMemoryError::TooLong);
        }
        let start = map().map_err(|_| SecretMemoryError::Unavailable)?;
        // SAFETY: `start` is a fresh private mapping of SECRET_MAX writable bytes that nothing else
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
        // SAFETY: the mapping is ours, writable and SECRET_MAX bytes long; nothing borrows it now.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.as_ptr(), SECRET_MAX).zeroize();
            // Failing to unmap wiped memory leaks addresses, no secret.
            let _ = munmap(self.start.as_ptr().cast::<c_void>(), SECRET_MAX);
        }
    }
}

/// Maps secret memory, or locked memory where the kernel has none.
fn map() -> Result<NonNull<u8>, Errno> {
    let mapped = secret_mapping().or_else(|_| locked_mapping())?;
    // SAFETY: the range was just mapped; the advice changes forks and dumps only.
    unsafe {
        madvise(mapped, SECRET_MAX, Advice::LinuxDontFork)?;
        madvise(mapped, SECRET_MAX, Advice::LinuxDontDump)?;
    }
    NonNull::new(mapped.cast::<u8>()).ok_or(Errno::NOMEM)
}

fn secret_mapping() -> Result<*mut c_void, Errno> {
    // SAFETY: the call takes flags and returns a new descriptor or an error; it touches no memory.
    let opened = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let number = i32::try_from(opened).ok().filter(|number| *number >= 0).ok_or(Errno::NOSYS)?;
    // SAFETY: the descriptor was just opened, and nothing else owns it.
    let file = unsafe { OwnedFd::from_raw_fd(number) };
    ftruncate(&file, SECRET_MAX as u64)?;
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice; the file is only ours, and its
    // descriptor closes as this function ends.
    unsafe { mmap(std::ptr::null_mut(), SECRET_MAX, protection, MapFlags::SHARED, &file, 0) }
}

fn locked_mapping() -> Result<*mut c_void, Errno> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice.
    let mapped =
        unsafe { mmap_anonymous(std::ptr::null_mut(), SECRET_MAX, protection, MapFlags::PRIVATE)? };
    // SAFETY: the range was just mapped.
    unsafe { mlock(mapped, SECRET_MAX)? };
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
        let bytes = pointer.cast::<MaybeUninit<u8>>();
        // SAFETY: the caller owns `layout.size()` bytes from `pointer`, written or not, and gives
        // them up.
        unsafe {
            std::slice::from_raw_parts_mut(bytes, layout.size()).zeroize();
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
        let mut bytes = vec![7; SECRET_MAX + 1];
        assert!(SecretBytes::take(&mut bytes).is_err());
        assert!(bytes.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_credential_stays_out_of_forks_dumps_and_swap() {
        let secret = SecretBytes::take(&mut b"a credential".to_vec()).unwrap();
        let flags = flags_of(secret.start.as_ptr() as usize);
        for (flag, meaning) in [("dc", "not in forks"), ("dd", "not in dumps"), ("lo", "locked")] {
            assert!(flags.iter().any(|other| other == flag), "{meaning}: {flags:?}");
        }
    }

    #[test]
    fn where_the_kernel_has_secret_memory_not_even_it_reads_a_credential() {
        let secret = SecretBytes::take(&mut b"a credential".to_vec()).unwrap();
        let start = secret.start.as_ptr() as u64;
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut bytes = [0; 12];
        let read = std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, start);
        assert_eq!(read.is_err(), secret_mapping().is_ok());
    }

    #[test]
    fn what_the_allocator_frees_is_wiped() {
        // One block, freed by `realloc`, is looked at before this thread can have it again: glibc
        // keeps a small freed block's bytes but for its first sixteen.
        let layout = Layout::from_size_align(1000, 8).unwrap();
        // SAFETY: the block is ours until it is freed. What a freed one holds is asked of the
        // kernel, through a descriptor, not of the language.
        unsafe {
            let block = ZeroizingAllocator.alloc(layout);
            std::slice::from_raw_parts_mut(block, 1000).fill(7);
            let at = block as u64;
            let moved = ZeroizingAllocator.realloc(block, layout, 2000);
            let memory = std::fs::File::open("/proc/self/mem").unwrap();
            let mut bytes = [7; 1000];
            std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, at).unwrap();
            assert!(bytes.iter().skip(16).all(|byte| *byte != 7));
            assert_eq!(std::slice::from_raw_parts(moved, 1000), [7; 1000]);
            ZeroizingAllocator.dealloc(moved, Layout::from_size_align(2000, 8).unwrap());
        }
    }

    /// The kernel's flags of the mapping that starts here (`proc_pid_smaps(5)`).
    fn flags_of(start: usize) -> Vec<String> {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        maps.lines()
            .skip_while(|line| !line.starts_with(&format!("{start:x}-")))
            .find_map(|line| line.strip_prefix("VmFlags: "))
            .unwrap()
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    }
}
