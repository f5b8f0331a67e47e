//! The macros of `relay-log`, which re-exports and documents them.
//!
//! A call goes through three files: `call` takes it apart, `template` reads its format string,
//! `expand` writes what runs. What this crate does not understand is handed to `format_args!` as
//! it stands: either it is wrong, and the compiler says so, or it is printed at the call.

mod call;
mod derive;
mod expand;
mod template;

use call::{Call, Shape};
use proc_macro::TokenStream;

fn expand(input: TokenStream, shape: Shape) -> TokenStream {
    match Call::parse(input.into(), shape) {
        Ok(call) => expand::expand(&call).into(),
        Err(error) => error.into_compile_error().into(),
    }
}

macro_rules! levels {
    ($($name:ident $level:literal $title:literal;)*) => {$(
        #[doc = concat!("Logs at the level ", $title, ".")]
        ///
        /// Takes what `format!` takes, and in front of it, each optional, a target and key-values:
        ///
        /// ```text
        #[doc = concat!($level, r#"!("request {id} took {latency:.2} ms")"#)]
        #[doc = concat!($level, r#"!(target: "http", user = user.id, path:? = path; "{} bytes", n)"#)]
        /// ```
        ///
        /// The arguments are stored raw where they can be, and formatted when the record is read;
        /// the text is the one that `format!` gives. A target is a constant. `key = value` keeps
        /// the type, `key:? = value` prints the `Debug`, `key:% = value` the `Display`, and `key`
        /// alone takes the variable of that name. Nothing is evaluated when the level is disabled.
        #[proc_macro]
        pub fn $name(input: TokenStream) -> TokenStream {
            expand(input, Shape::Level($title))
        }
    )*};
}

levels! {
    error "error" "Error";
    warn "warn" "Warn";
    info "info" "Info";
    debug "debug" "Debug";
    trace "trace" "Trace";
}

/// Logs at a level that is an expression: `log!(Level::Info, "message {x}")`.
///
/// Otherwise as [`info!`]. A level that is not spelt out is evaluated once.
#[proc_macro]
pub fn log(input: TokenStream) -> TokenStream {
    expand(input, Shape::Log)
}

/// Logs key-values, with or without a message: `event!(Level::Info, user = 7, ok = true)`.
///
/// Otherwise as [`log!`].
#[proc_macro]
pub fn event(input: TokenStream) -> TokenStream {
    expand(input, Shape::Event)
}

/// Lets log calls store values of a struct or enum raw, where they print its derived `Debug`.
#[proc_macro_derive(Argument)]
pub fn argument(input: TokenStream) -> TokenStream {
    let derived = syn::parse(input).and_then(|input| derive::derive(&input));
    derived.unwrap_or_else(syn::Error::into_compile_error).into()
}
