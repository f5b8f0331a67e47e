//! `#[derive(Argument)]`: the fields one after the other, as the derived `Debug` shows them.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, GenericParam, Result, parse_quote};

/// The number of `relay_fmt::value::Type::Struct`, which a test of relay-log compares.
const STRUCT: u8 = 29;

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let mut generics = input.generics.clone();
    for param in &mut generics.params {
        if let GenericParam::Type(of) = param {
            of.bounds.push(parse_quote!(::relay_log::Argument));
        }
    }
    let variants: Vec<(&Ident, TokenStream, &Fields)> = match &input.data {
        Data::Struct(data) => vec![(&input.ident, quote!(Self), &data.fields)],
        Data::Enum(data) => {
            let variants = data.variants.iter().map(|v| {
                let name = &v.ident;
                (name, quote!(Self::#name), &v.fields)
            });
            variants.collect()
        }
        Data::Union(_) => {
            let what = "`Argument` cannot be derived for unions: they have no derived `Debug`";
            return Err(Error::new(Span::call_site(), what));
        }
    };
    let mut arms = [const { Vec::new() }; 3];
    for (name, path, fields) in &variants {
        for (arms, arm) in arms.iter_mut().zip(variant(name, path, fields)) {
            arms.push(arm);
        }
    }
    let [depth, size, store] = arms;
    let name = &input.ident;
    let (implied, of, bounds) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #implied ::relay_log::Argument for #name #of #bounds {
            #[inline]
            fn depth(&self) -> ::core::primitive::u32 {
                match *self { #(#depth)* }
            }

            #[inline]
            fn size(&self) -> ::core::primitive::usize {
                match *self { #(#size)* }
            }

            #[inline]
            fn store(&self, out: &mut ::relay_log::__private::Sink<'_>) {
                match *self { #(#store)* }
            }
        }
    })
}

/// The arms of `depth`, `size` and `store`.
fn variant(name: &Ident, path: &TokenStream, fields: &Fields) -> [TokenStream; 3] {
    let members: Vec<_> = fields.members().collect();
    let locals: Vec<_> =
        (0..members.len()).map(|n| format_ident!("field{n}", span = Span::mixed_site())).collect();
    let pattern = quote!(#path { #(#members: ref #locals),* });
    let mut head = vec![STRUCT];
    prefixed(&mut head, &name.unraw().to_string());
    let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
    head.extend_from_slice(&count.to_le_bytes());
    // What stands in front of each field: its name; before the first, the head too.
    let mut fronts = Vec::new();
    let mut constant = 0usize;
    for field in fields {
        let mut front = std::mem::take(&mut head);
        let name = field.ident.as_ref().map(|name| name.unraw().to_string());
        prefixed(&mut front, &name.unwrap_or_default());
        constant += front.len();
        fronts.push(Literal::byte_string(&front));
    }
    constant += head.len();
    let rest = (!head.is_empty()).then(|| {
        let head = Literal::byte_string(&head);
        quote!(out.put(#head);)
    });
    // What is wrong with a field is shown at its type.
    let argument = fields.iter().map(|field| {
        let span = Span::mixed_site().located_at(field.ty.span());
        quote_spanned!(span=> ::relay_log::Argument)
    });
    let argument: Vec<_> = argument.collect();
    [
        quote! {
            #pattern => {
                let most: ::core::primitive::u32 = 0;
                #(let most = ::core::cmp::Ord::max(most, #argument::depth(#locals));)*
                1 + most
            }
        },
        quote!(#pattern => { #constant #(+ #argument::size(#locals))* }),
        quote! {
            #pattern => {
                #rest
                #(out.put(#fronts); #argument::store(#locals, out);)*
            }
        },
    ]
}

fn prefixed(out: &mut Vec<u8>, text: &str) {
    let mut len = text.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(text.as_bytes());
}
