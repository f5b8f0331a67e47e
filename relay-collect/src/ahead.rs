//! What can be done while a block is encoded.
//!
//! One thread is enough for a collector that keeps up. While a backlog grows, another processor looks
//! at what the block contains and takes what the next one is made of. Neither needs to know whether the block
//! gets into the archive: what is taken stays in its channel all the same, and nothing is decided about it (holes,
//! order, positions) before the block is accounted for.

use crate::live::Live;
use crate::take::Taken;
use relay_log::channel::Sub;
use rustix::io::Errno;

/// What was taken for one block, with the index of its channel, and what could not be.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    pub(crate) taken: Vec<(usize, Taken)>,
    pub(crate) failed: Vec<(usize, Errno)>,
}

impl Ahead {
    pub(crate) const fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.failed.is_empty()
    }

    /// Takes what waits longest, until there are `most` bytes, into memory of `spare`.
    pub(crate) fn fill(
        &mut self,
        lives: &mut [Live],
        next: &mut std::vec::IntoIter<(usize, Sub)>,
        spare: &mut Vec<Vec<u8>>,
        most: u64,
    ) {
        let mut bytes = 0;
        while bytes < most
            && let Some((index, sub)) = next.next()
        {
            let Some(live) = lives.get_mut(index) else { continue };
            match live.take(&sub, spare.pop().unwrap_or_default()) {
                Ok(Some(new)) => {
                    bytes += new.bytes.len() as u64;
                    self.taken.push((index, new));
                }
                Ok(None) => {}
                Err(errno) => self.failed.push((index, errno)),
            }
        }
    }
}

/// Does two things, `beside` in a thread of its own if `apart` and if there is one to be had.
pub(crate) fn both<T>(apart: bool, mut beside: impl FnMut() + Send, main: impl FnOnce() -> T) -> T {
    let (begun, done) = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("relay-collect".into());
        let begun = apart && thread.spawn_scoped(scope, &mut beside).is_ok();
        (begun, main())
    });
    if !begun {
        beside();
    }
    done
}

#[cfg(test)]
mod tests {
    use super::both;

    #[test]
    fn both_are_done_once_together_or_apart() {
        for apart in [false, true] {
            let (mut times, mut here) = (0, None);
            let beside = || {
                times += 1;
                here = Some(std::thread::current().id());
            };
            assert_eq!(both(apart, beside, || 7), 7);
            assert_eq!(times, 1);
            assert_eq!(here != Some(std::thread::current().id()), apart);
        }
    }
}
