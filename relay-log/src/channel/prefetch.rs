//! Asking for memory before it is written.

/// Asks the processor for the cache line of `at`, to write it soon. Changes nothing, whatever the address.
#[inline(always)]
pub(super) fn to_write<T>(at: *const T) {
    #[cfg(all(target_arch = "x86_64", not(any(loom, shuttle, miri))))]
    // SAFETY: a hint: it faults at no address, and processors that do not know it pass over it.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
    };
    #[cfg(not(all(target_arch = "x86_64", not(any(loom, shuttle, miri)))))]
    let _ = at;
}
