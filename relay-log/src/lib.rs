//! The backend.

pub mod channel;
