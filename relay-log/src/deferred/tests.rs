use super::callsite::StaticCallsite;
use std::cell::RefCell;

thread_local! {
    static RECORDS: RefCell<Vec<(&'static StaticCallsite, Vec<u8>)>> = const { RefCell::new(Vec::new()) };
}

/// The backend of these tests: keeps the thread's records.
pub(super) fn collect(callsite: &'static StaticCallsite, payload: Vec<u8>) {
    RECORDS.with_borrow_mut(|records| records.push((callsite, payload)));
}
