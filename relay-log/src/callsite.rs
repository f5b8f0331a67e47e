//! Log statements as the program knows them: static, and described once in each channel.

use crate::channel::{os, thread};
use crate::pass::Remembered;
use relay_fmt::callsite::{Callsite, Facade, Field, Level};
use relay_fmt::record::MAX_CALLSITE;
use relay_fmt::value::{Layout, Type};
use std::cell::Cell;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence};

/// A log statement. Lives as long as the program; all that changes is what is remembered about it.
///
/// ```text
///  state    63          32 31      24 23             0
///           +-------------+----------+---------------+
///           | fork epoch  | channels | number        |
///           +-------------+----------+---------------+
/// ```
///
/// A bit of `channels` says that the channel in that slot has the description, in the process of
/// that epoch: a forked child has channels of its own.
#[derive(Debug)]
pub struct StaticCallsite {
    pub(crate) level: Level,
    pub(crate) facade: Facade,
    pub(crate) line: u32,
    pub(crate) target: &'static str,
    pub(crate) module: &'static str,
    pub(crate) file: &'static str,
    pub(crate) name: &'static str,
    pub(crate) template: &'static str,
    pub(crate) fields: &'static [(&'static str, Type, bool)],
    pub(crate) layout: Layout,
    state: AtomicU64,
    pub(crate) pass: Remembered,
}

const ID_BITS: u32 = 24;
const EPOCH_SHIFT: u32 = 32;
const _: () = assert!(thread::MAX_CHANNELS <= (EPOCH_SHIFT - ID_BITS) as usize);

static NEXT_ID: AtomicU32 = AtomicU32::new(1);

thread_local! {
    /// This thread may hold the lock on a channel's descriptions: a signal handler must not wait.
    static DESCRIBING: Cell<bool> = const { Cell::new(false) };
}

impl StaticCallsite {
    /// A callsite. `fields` are name, type, and whether it is an argument of the template only.
    #[expect(clippy::too_many_arguments, reason = "macros write these calls")]
    #[must_use]
    pub const fn new(
        level: Level,
        facade: Facade,
        line: u32,
        target: &'static str,
        module: &'static str,
        file: &'static str,
        name: &'static str,
        template: &'static str,
        fields: &'static [(&'static str, Type, bool)],
        layout: Layout,
    ) -> Self {
        Self {
            level,
            facade,
            line,
            target,
            module,
            file,
            name,
            template,
            fields,
            layout,
            state: AtomicU64::new(0),
            pass: Remembered::new(),
        }
    }

    /// The callsite of one of Relay's macros.
    #[must_use]
    pub const fn of_macro(
        level: Level,
        line: u32,
        target: &'static str,
        module: &'static str,
        file: &'static str,
        template: &'static str,
        fields: &'static [(&'static str, Type, bool)],
    ) -> Self {
        let (facade, layout) = (Facade::Relay, Layout::Packed);
        Self::new(level, facade, line, target, module, file, "", template, fields, layout)
    }

    /// The number by which records of the channel in `slot` name it, once it is described there.
    /// `None` when the record must bring the description itself.
    #[inline]
    pub(crate) fn ensure_described(&self, slot: usize) -> Option<u32> {
        self.described(slot).or_else(|| {
            let may_wait = !thread::is_nested() && !DESCRIBING.get();
            self.describe(slot, may_wait)
        })
    }

    #[inline]
    fn described(&self, slot: usize) -> Option<u32> {
        let state = self.state.load(Acquire);
        let is_there = (state >> EPOCH_SHIFT) as u32 == os::epoch() && state & bit(slot) != 0;
        is_there.then_some(state as u32 & MAX_CALLSITE)
    }

    /// As [`Self::ensure_described`], and waits for others who describe even in the middle of a
    /// call. Not for signal handlers.
    pub(crate) fn wait_described(&self, slot: usize) -> Option<u32> {
        self.described(slot).or_else(|| self.describe(slot, true))
    }

    /// Two threads that come here at once both describe it, in the same words.
    #[cold]
    #[inline(never)]
    fn describe(&self, slot: usize, may_wait: bool) -> Option<u32> {
        let channel = thread::own_channel(slot)?;
        let epoch = channel.epoch;
        let id = self.id()?;
        let description = self.description();
        let before = DESCRIBING.replace(true);
        compiler_fence(Ordering::SeqCst);
        let done = channel.describe(id, &description, may_wait);
        compiler_fence(Ordering::SeqCst);
        DESCRIBING.set(before);
        if !done {
            return None;
        }
        let mark = |state: u64| {
            let mine = (state >> EPOCH_SHIFT) as u32 == epoch;
            let kept = if mine { state } else { u64::from(id) | u64::from(epoch) << EPOCH_SHIFT };
            Some(kept | bit(slot))
        };
        let _ = self.state.fetch_update(AcqRel, Relaxed, mark);
        Some(id)
    }

    /// Its number in this process and its children; `None` when they are used up.
    fn id(&self) -> Option<u32> {
        let id = |state: u64| state as u32 & MAX_CALLSITE;
        let state = self.state.load(Acquire);
        if id(state) != 0 {
            return Some(id(state));
        }
        let next = |n: u32| (n <= MAX_CALLSITE).then_some(n + 1);
        let new = NEXT_ID.fetch_update(Relaxed, Relaxed, next).ok()?;
        // Somebody else may have been faster: then a number is wasted.
        let put = |state: u64| (id(state) == 0).then_some(state | u64::from(new));
        match self.state.fetch_update(AcqRel, Acquire, put) {
            Ok(_) => Some(new),
            Err(state) => Some(id(state)),
        }
    }

    /// As readers know it.
    pub(crate) fn to_callsite(&self) -> Callsite {
        let field = |&(name, of, argument_only): &(&str, Type, bool)| Field {
            name: name.to_owned(),
            of,
            argument_only,
        };
        Callsite {
            level: self.level,
            facade: self.facade,
            layout: self.layout,
            line: self.line,
            target: self.target.to_owned(),
            module: self.module.to_owned(),
            file: self.file.to_owned(),
            name: self.name.to_owned(),
            template: self.template.to_owned(),
            fields: self.fields.iter().map(field).collect(),
        }
    }

    /// Its description, encoded.
    pub(crate) fn description(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.to_callsite().encode(&mut out);
        out
    }
}

#[inline]
const fn bit(slot: usize) -> u64 {
    1 << (ID_BITS as usize + slot)
}
