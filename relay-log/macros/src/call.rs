//! Takes a call apart: target, level, key-values, format string, arguments.

use crate::template::{self, Piece};
use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Error, Expr, LitStr, Result, Token};

/// Which macro was called.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// One of the five, by the name of its level.
    Level(&'static str),
    /// The level is the first argument.
    Log,
    /// As `Log`; the message is optional.
    Event,
}

/// How urgent the statement is.
pub(crate) enum Level {
    /// A constant.
    Const(TokenStream),
    /// Known when it runs.
    Computed(Expr),
}

/// How a key's value is stored.
#[derive(Clone, Copy)]
pub(crate) enum Capture {
    Value,
    Debug,
    Display,
}

pub(crate) struct KeyValue {
    pub(crate) key: String,
    pub(crate) capture: Capture,
    pub(crate) value: Expr,
}

/// An argument of `format!`, or a variable that its string captures.
pub(crate) struct Argument {
    pub(crate) name: Option<String>,
    pub(crate) value: Expr,
}

pub(crate) enum Message {
    None,
    /// Understood.
    Parsed {
        span: Span,
        pieces: Vec<Piece>,
        arguments: Vec<Argument>,
    },
    /// Arguments of `format_args!`, whatever they are.
    Whole(TokenStream),
}

pub(crate) struct Call {
    pub(crate) target: Option<Expr>,
    pub(crate) level: Level,
    pub(crate) key_values: Vec<KeyValue>,
    pub(crate) message: Message,
}

impl Call {
    pub(crate) fn parse(input: TokenStream, shape: Shape) -> Result<Self> {
        let parser = |input: ParseStream<'_>| {
            let target = parse_target(input)?;
            let level = parse_level(input, shape)?;
            let mut key_values = Vec::new();
            let separated = has_semicolon(input);
            let bare = matches!(shape, Shape::Event) && !separated && !begins_message(input);
            if separated || bare {
                key_values = parse_key_values(input)?;
            }
            let message = if bare {
                Message::None
            } else {
                let rest: TokenStream = input.parse()?;
                parse_message(&rest).unwrap_or(Message::Whole(rest))
            };
            Ok(Self { target, level, key_values, message })
        };
        parser.parse2(input)
    }
}

fn parse_target(input: ParseStream<'_>) -> Result<Option<Expr>> {
    let named = input.fork().call(Ident::parse_any).is_ok_and(|i| i == "target");
    let colon = input.peek2(Token![:]) && !input.peek2(Token![::]);
    if !named || !colon || input.peek3(Token![?]) || input.peek3(Token![%]) {
        return Ok(None);
    }
    input.call(Ident::parse_any)?;
    input.parse::<Token![:]>()?;
    let target = input.parse()?;
    input.parse::<Token![,]>()?;
    Ok(Some(target))
}

fn parse_level(input: ParseStream<'_>, shape: Shape) -> Result<Level> {
    if let Shape::Level(name) = shape {
        let name = Ident::new(name, Span::call_site());
        let level = quote::quote!(::relay_log::__private::Level::#name);
        return Ok(Level::Const(level));
    }
    let level: Expr = input.parse()?;
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    // `Level::Info` is a constant whatever is in scope; `Self::LEVEL` may depend on a type.
    let spelt = match &level {
        Expr::Path(path) => {
            let mut last = path.path.segments.iter().rev().map(|s| s.ident.to_string());
            let names = ["Error", "Warn", "Info", "Debug", "Trace"];
            last.next().is_some_and(|name| names.contains(&name.as_str()))
                && last.next().is_some_and(|name| name == "Level")
        }
        _ => false,
    };
    Ok(if spelt { Level::Const(quote::quote!(#level)) } else { Level::Computed(level) })
}

/// Whether key-values end and a message begins: no expression has a semicolon outside brackets.
fn has_semicolon(input: ParseStream<'_>) -> bool {
    let rest: Result<TokenStream> = input.fork().parse();
    let is_one = |t: TokenTree| matches!(t, TokenTree::Punct(p) if p.as_char() == ';');
    rest.is_ok_and(|rest| rest.into_iter().any(is_one))
}

/// Whether what follows is a format string rather than a key.
fn begins_message(input: ParseStream<'_>) -> bool {
    input.peek(syn::Lit) && !input.peek2(Token![=]) && !input.peek2(Token![:])
}

fn parse_key_values(input: ParseStream<'_>) -> Result<Vec<KeyValue>> {
    let mut found = Vec::new();
    while !input.is_empty() && !input.peek(Token![;]) {
        found.push(parse_key_value(input)?);
        if input.is_empty() || input.peek(Token![;]) {
            break;
        }
        input.parse::<Token![,]>()?;
    }
    if !input.is_empty() {
        input.parse::<Token![;]>()?;
    }
    Ok(found)
}

fn parse_key_value(input: ParseStream<'_>) -> Result<KeyValue> {
    let mut variable = None;
    let key = if input.peek(LitStr) {
        input.parse::<LitStr>()?.value()
    } else {
        let first = input.call(Ident::parse_any)?;
        let mut key = first.unraw().to_string();
        variable = Some(first);
        while input.peek(Token![.]) {
            input.parse::<Token![.]>()?;
            key = format!("{key}.{}", input.call(Ident::parse_any)?.unraw());
            variable = None;
        }
        key
    };
    let mut capture = Capture::Value;
    if input.peek(Token![:]) {
        input.parse::<Token![:]>()?;
        capture = parse_capture(input)?;
    }
    let value = match variable {
        Some(name) if !input.peek(Token![=]) => Expr::Verbatim(quote::quote!(#name)),
        _ => {
            input.parse::<Token![=]>()?;
            input.parse()?
        }
    };
    Ok(KeyValue { key, capture, value })
}

fn parse_capture(input: ParseStream<'_>) -> Result<Capture> {
    if input.peek(Token![?]) {
        input.parse::<Token![?]>()?;
        return Ok(Capture::Debug);
    }
    if input.peek(Token![%]) {
        input.parse::<Token![%]>()?;
        return Ok(Capture::Display);
    }
    let name = input.call(Ident::parse_any)?;
    match name.to_string().as_str() {
        "debug" => Ok(Capture::Debug),
        "display" | "err" => Ok(Capture::Display),
        _ => Err(Error::new(
            name.span(),
            "a key is captured by `?`, `%`, `debug`, `display` or `err`",
        )),
    }
}

/// Format string and arguments; `None` for what is left to `format_args!`.
fn parse_message(tokens: &TokenStream) -> Option<Message> {
    let mut rest = tokens.clone().into_iter();
    let literal = string(rest.next()?)?;
    let parser = |input: ParseStream<'_>| {
        let mut arguments = Vec::new();
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            arguments.push(parse_argument(input)?);
        }
        Ok(arguments)
    };
    let mut arguments: Vec<Argument> = parser.parse2(rest.collect()).ok()?;
    let pieces = template::parse(&literal, &mut arguments)?;
    let span = literal.span();
    Some(Message::Parsed { span, pieces, arguments })
}

/// A string literal, also where another macro passed it on.
fn string(token: TokenTree) -> Option<LitStr> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
            let mut inner = group.stream().into_iter();
            let first = inner.next()?;
            inner.next().is_none().then(|| string(first))?
        }
        TokenTree::Literal(literal) => syn::parse2(TokenTree::Literal(literal).into()).ok(),
        _ => None,
    }
}

fn parse_argument(input: ParseStream<'_>) -> Result<Argument> {
    let named = input.peek2(Token![=]) && !input.peek2(Token![==]) && !input.peek2(Token![=>]);
    let name = if named && input.fork().call(Ident::parse_any).is_ok() {
        let name = input.call(Ident::parse_any)?;
        input.parse::<Token![=]>()?;
        Some(name.unraw().to_string())
    } else {
        None
    };
    Ok(Argument { name, value: input.parse()? })
}

impl Argument {
    /// A variable that the string names. A keyword names its raw identifier, except `self`.
    pub(crate) fn captured(name: &str, span: Span) -> Option<Self> {
        let any = Ident::parse_any.parse_str(name).ok()?;
        let mut ident = match name {
            "self" => any,
            "Self" | "super" | "crate" | "_" => return None,
            _ if syn::parse_str::<Ident>(name).is_ok() => any,
            _ => Ident::new_raw(name, span),
        };
        ident.set_span(span);
        Some(Self { name: Some(name.to_owned()), value: Expr::Verbatim(quote::quote!(#ident)) })
    }

    pub(crate) fn span(&self) -> Span {
        self.value.span()
    }
}
