//! Two lock-free places that loggers keep things in: [`Leaked`] holds one thing for ever, [`Stack`]
//! gathers things until it is closed. A signal handler may come in at any instruction of either.

use super::sync::Ordering::{AcqRel, Acquire, Release};
use std::marker::PhantomData;
use std::sync::atomic::AtomicPtr;

/// A reference to something that lives for ever, or nothing yet.
#[derive(Debug)]
pub(crate) struct Leaked<T: 'static> {
    at: AtomicPtr<T>,
    of: PhantomData<&'static T>,
}

impl<T: Sync> Leaked<T> {
    pub(crate) const fn new() -> Self {
        Self { at: AtomicPtr::new(std::ptr::null_mut()), of: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: only `&'static T` are ever put there.
        unsafe { self.at.load(Acquire).as_ref() }
    }

    pub(crate) fn set(&self, value: &'static T) {
        self.at.store(std::ptr::from_ref(value).cast_mut(), Release);
    }

    /// Puts it there if nothing is. Returns what is there now.
    pub(crate) fn set_first(&self, value: &'static T) -> &'static T {
        let new = std::ptr::from_ref(value).cast_mut();
        match self.at.compare_exchange(std::ptr::null_mut(), new, AcqRel, Acquire) {
            Ok(_) => value,
            // SAFETY: only `&'static T` are ever put there, and it is not null.
            Err(there) => unsafe { &*there },
        }
    }
}

#[derive(Debug)]
struct Node<T> {
    value: T,
    below: *mut Node<T>,
}

/// What is pushed before [`Stack::close`] is in what that returns; whoever comes later is told so.
///
/// Nothing is ever popped alone, so there is no reuse that a stale pointer could mistake.
#[derive(Debug)]
pub(crate) struct Stack<T> {
    top: AtomicPtr<Node<T>>,
    of: PhantomData<T>,
}

impl<T: Send> Stack<T> {
    pub(crate) const fn new() -> Self {
        Self { top: AtomicPtr::new(std::ptr::null_mut()), of: PhantomData }
    }

    /// The address that says that the stack is closed: never that of a node, for nodes are aligned.
    fn closed() -> *mut Node<T> {
        const { assert!(align_of::<Node<T>>() > 1) };
        std::ptr::without_provenance_mut(1)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.top.load(Acquire) == Self::closed()
    }

    /// Adds a thing; gives it back when the stack is closed.
    pub(crate) fn push(&self, value: T) -> Result<(), T> {
        let mut top = self.top.load(Acquire);
        let node = Box::into_raw(Box::new(Node { value, below: top }));
        loop {
            if top == Self::closed() {
                // SAFETY: the node came from a box above and nobody else has seen it.
                return Err(unsafe { Box::from_raw(node) }.value);
            }
            // SAFETY: as above: it is this call's alone until the exchange succeeds.
            unsafe { (*node).below = top };
            match self.top.compare_exchange_weak(top, node, AcqRel, Acquire) {
                Ok(_) => return Ok(()),
                Err(now) => top = now,
            }
        }
    }

    /// Closes it for ever and returns what was pushed, the oldest first.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut top = self.top.swap(Self::closed(), AcqRel);
        let mut all = Vec::new();
        while !top.is_null() && top != Self::closed() {
            // SAFETY: a node below the old top came from a box, and the swap made all of them this
            // call's own.
            let node = unsafe { Box::from_raw(top) };
            top = node.below;
            all.push(node.value);
        }
        all.reverse();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_before_the_end_comes_out_once_and_in_order() {
        for _ in 0..50 {
            let stack: Stack<(u32, u32)> = Stack::new();
            let counts: Vec<u32> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..3u32)
                    .map(|t| {
                        let stack = &stack;
                        scope.spawn(move || {
                            (0..).take_while(|n| stack.push((t, *n)).is_ok()).count()
                        })
                    })
                    .collect();
                std::thread::yield_now();
                let all = stack.close();
                assert!(stack.is_closed());
                let counts: Vec<u32> =
                    threads.into_iter().map(|t| t.join().unwrap() as u32).collect();
                for (t, count) in counts.iter().enumerate() {
                    let of = all.iter().filter(|(thread, _)| *thread == t as u32).map(|(_, n)| *n);
                    assert!(of.eq(0..*count), "thread {t} lost, doubled or reordered something");
                }
                counts
            });
            assert_eq!(counts.len(), 3);
            assert!(stack.close().is_empty());
        }
    }
}
