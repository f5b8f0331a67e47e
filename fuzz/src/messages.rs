//! A template, the types of fields, and a payload: `u16` length of the template, it, `u8` count, that
//! many types, the rest.

use crate::frames::part;
use relay_fmt::bytes::Cursor;
use relay_fmt::callsite::{Callsite, Facade, Field, Level};
use relay_fmt::message::{Template, write_message};
use relay_fmt::value::{Layout, Type};

fn callsite(template: &[u8], types: &[u8], layout: Layout) -> Callsite {
    let field = |of: &u8| Field {
        name: String::new(),
        of: Type::from_u8(of % 30).unwrap(),
        argument_only: true,
    };
    Callsite {
        level: Level::Info,
        facade: Facade::Relay,
        layout,
        line: 0,
        target: String::new(),
        module: String::new(),
        file: String::new(),
        name: String::new(),
        template: String::from_utf8_lossy(template).into_owned(),
        fields: types.iter().map(field).collect(),
    }
}

/// A template parsed once says what one parsed as it is written says.
///
/// # Panics
/// When not.
pub fn check(data: &[u8]) {
    let (template, rest) = part(data);
    let mut input = Cursor::new(rest);
    let count = input.u8().unwrap_or_default();
    let types = input.bytes(usize::from(count & 31)).unwrap_or_default();
    let layout = if count & 32 == 0 { Layout::Packed } else { Layout::Sparse };
    let site = callsite(template, types, layout);
    let (mut once, mut kept) = (Vec::new(), Vec::new());
    let written = write_message(&site, input.rest(), &mut once);
    let parsed = Template::parse(&site.template);
    let Ok(parsed) = parsed else {
        assert!(written.is_err(), "a template that does not parse is not rendered");
        return;
    };
    let again = parsed.write_record(&site, input.rest(), &mut kept);
    assert_eq!((written, once), (again, kept));
}
