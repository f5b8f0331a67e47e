//! Writes what runs: a static, a level check, the arguments, one call.

use crate::call::{Call, Capture, Level, Message};
use crate::template::{Count, Hole, Piece};
use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Expr;
use syn::spanned::Spanned;

/// What is evaluated, what is stored, and the template that names it.
#[derive(Default)]
struct Plan {
    /// Expressions, evaluated once in this order.
    values: Vec<TokenStream>,
    /// Name and whether it is an argument only.
    fields: Vec<(String, bool)>,
    /// What makes each field of its value.
    stores: Vec<TokenStream>,
    template: String,
}

/// Ours, to the eyes of hygiene and lints; errors are shown at `span`.
fn ours(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

/// A variable that the program cannot see.
fn local(name: &str, index: usize, span: Span) -> Ident {
    format_ident!("{name}{index}", span = ours(span))
}

impl Plan {
    fn value(&mut self, value: &Expr) -> usize {
        let span = ours(value.span());
        self.values.push(quote_spanned!(span=> &(#value)));
        self.values.len() - 1
    }

    fn field(&mut self, name: &str, argument_only: bool, store: TokenStream) -> usize {
        self.fields.push((name.to_owned(), argument_only));
        self.stores.push(store);
        self.fields.len() - 1
    }

    fn key_values(&mut self, call: &Call) {
        let scratch = scratch();
        for pair in &call.key_values {
            let span = ours(pair.value.span());
            let value = self.value(&pair.value);
            let value = local("value", value, span);
            let store = match pair.capture {
                Capture::Value => quote_spanned! {span=>
                    (&&&::relay_log::__private::Arg(#value)).relay_value(&mut #scratch)
                },
                Capture::Debug => quote_spanned! {span=>
                    #scratch.print(::core::format_args!("{:?}", *#value))
                },
                Capture::Display => quote_spanned! {span=>
                    #scratch.print(::core::format_args!("{}", *#value))
                },
            };
            self.field(&pair.key, false, store);
        }
    }

    fn message(&mut self, message: &Message) {
        match message {
            Message::None => {}
            Message::Whole(tokens) => {
                let scratch = scratch();
                let store = quote!(#scratch.print(::core::format_args!(#tokens)));
                let field = self.field("", true, store);
                self.template = format!("{{{field}}}");
            }
            Message::Parsed { span, pieces, arguments } => {
                let first = self.values.len();
                for argument in arguments {
                    self.value(&argument.value);
                }
                let mut holes = Holes {
                    plan: self,
                    arguments,
                    first,
                    span: *span,
                    counts: Vec::new(),
                    seen: Vec::new(),
                };
                pieces.iter().for_each(|piece| holes.piece(piece));
            }
        }
    }
}

/// The holes of a message on their way into the plan.
struct Holes<'a> {
    plan: &'a mut Plan,
    arguments: &'a [crate::call::Argument],
    /// The value of the first argument.
    first: usize,
    span: Span,
    /// Arguments that are stored as a width, and the field of each.
    counts: Vec<(usize, usize)>,
    /// Holes that are stored, and the field of each.
    seen: Vec<(Hole, usize)>,
}

impl Holes<'_> {
    fn local(&self, argument: usize) -> Ident {
        let span = self.arguments.get(argument).map_or(self.span, |a| a.span());
        local("value", self.first + argument, span)
    }

    fn name(&self, argument: usize) -> &str {
        let found = self.arguments.get(argument);
        found.and_then(|a| a.name.as_deref()).unwrap_or_default()
    }

    fn piece(&mut self, piece: &Piece) {
        match piece {
            Piece::Text(text) => self.plan.template.push_str(text),
            Piece::Hole(hole) => {
                let text = self.hole(hole);
                self.plan.template.push_str(&text);
            }
        }
    }

    fn hole(&mut self, hole: &Hole) -> String {
        let field = self.seen.iter().find(|(seen, _)| seen == hole);
        let field = match field {
            Some((_, field)) => *field,
            None => self.store(hole),
        };
        let width = self.count(&hole.width);
        let mut precision = self.count(&hole.precision);
        if !precision.is_empty() {
            precision.insert(0, '.');
        }
        let spec = format!("{}{width}{precision}{}", hole.flags, hole.kind);
        if spec.is_empty() {
            return format!("{{{field}}}");
        }
        format!("{{{field}:{spec}}}")
    }

    /// A count as the template says it: the field that holds it, or the number.
    fn count(&mut self, count: &Count) -> String {
        let argument = match count {
            Count::None => return String::new(),
            Count::Fixed(fixed) => return fixed.clone(),
            Count::Argument(argument) => *argument,
        };
        let found = self.counts.iter().find(|(seen, _)| *seen == argument);
        let field = match found {
            Some((_, field)) => *field,
            None => {
                let value = self.local(argument);
                let name = self.name(argument).to_owned();
                let store = quote!(::relay_log::__private::Raw::count(#value));
                let field = self.plan.field(&name, true, store);
                self.counts.push((argument, field));
                field
            }
        };
        format!("{field}$")
    }

    fn store(&mut self, hole: &Hole) -> usize {
        let value = self.local(hole.argument);
        let scratch = scratch();
        let printed = self.printed(hole);
        let method = match hole.kind.as_str() {
            "" => Some("relay_display"),
            "?" | "x?" | "X?" => Some("relay_debug"),
            "p" => None,
            _ => Some("relay_number"),
        };
        let span = value.span();
        let store = match method.map(|name| Ident::new(name, Span::call_site())) {
            Some(method) => quote_spanned! {span=>
                (&&::relay_log::__private::Arg(#value)).#method(&mut #scratch, #printed)
            },
            None => quote_spanned!(span=> #scratch.print(#printed)),
        };
        let name = self.name(hole.argument).to_owned();
        let field = self.plan.field(&name, true, store);
        self.seen.push((hole.clone(), field));
        field
    }

    /// The hole alone, as `format_args!`: it prints what is not kept, and checks all the others.
    fn printed(&self, hole: &Hole) -> TokenStream {
        let mut values = vec![self.local(hole.argument)];
        let mut count = |count: &Count| match count {
            Count::None => String::new(),
            Count::Fixed(fixed) => fixed.clone(),
            Count::Argument(argument) => {
                values.push(self.local(*argument));
                format!("{}$", values.len() - 1)
            }
        };
        let width = count(&hole.width);
        let precision = match count(&hole.precision) {
            none if none.is_empty() => none,
            some => format!(".{some}"),
        };
        let spec = format!("{{0:{}{width}{precision}{}}}", hole.flags, hole.kind);
        let mut literal = Literal::string(&spec);
        literal.set_span(ours(self.span));
        let values = values.iter().map(|v| quote_spanned!(v.span()=> *#v));
        quote!(::core::format_args!(#literal, #(#values),*))
    }
}

fn scratch() -> Ident {
    Ident::new("scratch", Span::mixed_site())
}

/// The whole expansion.
pub(crate) fn expand(call: &Call) -> TokenStream {
    let mut plan = Plan::default();
    plan.key_values(call);
    plan.message(&call.message);
    let callsite = Ident::new("callsite", Span::mixed_site());
    let level = Ident::new("level", Span::mixed_site());
    let statics = statics(call, &plan);
    let (urgency, chosen) = match &call.level {
        Level::Const(level) => (quote!(#level), quote!(&__RELAY_CALLSITE)),
        Level::Computed(computed) => {
            (quote!(#computed), quote!(::relay_log::__private::at(&__RELAY_CALLSITES, #level)))
        }
    };
    let pass = Ident::new("pass", Span::mixed_site());
    let written = written(&plan, &callsite, &pass);
    let values = &plan.values;
    let locals = (0..values.len()).map(|n| local("value", n, Span::call_site()));
    quote! {{
        let #level: ::relay_log::__private::Level = #urgency;
        if ::relay_log::__private::wanted(#level) {
            #statics
            let #callsite: &'static ::relay_log::__private::StaticCallsite = #chosen;
            let #pass: ::relay_log::__private::Pass = ::relay_log::__private::pass(#callsite);
            if #pass.is_wanted() {
                match (#(#values,)*) {
                    (#(#locals,)*) => { #written }
                }
            }
        }
    }}
}

/// The static, or one for each level.
fn statics(call: &Call, plan: &Plan) -> TokenStream {
    let target = match &call.target {
        Some(target) => quote!(#target),
        None => quote!(::core::module_path!()),
    };
    let template = &plan.template;
    let fields = plan.fields.iter().map(|(name, argument_only)| {
        quote!((#name, ::relay_log::__private::Type::Tagged, #argument_only))
    });
    let fields = quote!(&[#(#fields),*]);
    let new = |level: TokenStream| {
        quote! {
            ::relay_log::__private::StaticCallsite::of_macro(
                #level, ::core::line!(), #target, ::core::module_path!(), ::core::file!(),
                #template, #fields,
            )
        }
    };
    match &call.level {
        Level::Const(level) => {
            let new = new(level.clone());
            quote! {
                static __RELAY_CALLSITE: ::relay_log::__private::StaticCallsite = #new;
            }
        }
        Level::Computed(_) => {
            let each = ["Error", "Warn", "Info", "Debug", "Trace"].map(|name| {
                let name = Ident::new(name, Span::call_site());
                new(quote!(::relay_log::__private::Level::#name))
            });
            quote! {
                static __RELAY_CALLSITES: [::relay_log::__private::StaticCallsite; 5] =
                    [#(#each),*];
            }
        }
    }
}

/// After the arguments are evaluated: match, and store.
fn written(plan: &Plan, callsite: &Ident, pass: &Ident) -> TokenStream {
    if plan.fields.is_empty() {
        return quote!(::relay_log::__private::write(#callsite, #pass, "", ()););
    }
    let scratch = scratch();
    let stores = &plan.stores;
    let fields: Vec<_> = (0..stores.len()).map(|n| local("field", n, Span::call_site())).collect();
    let listed = fields.iter().rev().fold(quote!(()), |rest, field| quote!((#field, #rest)));
    quote! {
        #[allow(unused_imports, reason = "which are used is up to the types")]
        use ::relay_log::__private::{
            RawDebug as _, RawDisplay as _, RawNumber as _, RawValue as _, TextDebug as _,
            TextDisplay as _, TextNumber as _, TextValue as _, TextValueDebug as _,
        };
        #[allow(unused_mut, reason = "nothing may have to be printed")]
        let mut #scratch = ::relay_log::__private::Scratch::new();
        #(let #fields = #stores;)*
        ::relay_log::__private::write(#callsite, #pass, #scratch.text(), #listed);
    }
}
