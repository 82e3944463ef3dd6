//! ACNS: the `Infringement` document of the Automated Copyright Notice System, versions 0.6 to 1.2.
//!
//! Found in running text as often as attached. Namespaces differ between senders, so only local names
//! count. No DTD is read, so no entity can grow.

use roxmltree::{Document, Node, ParsingOptions};

use super::repair::{ampersands, cut, unquoted};
use super::{fact, place_of};
use crate::claim::{Aside, Claim, EVENTS_MAX, Event, Fact, Fault, Format, Place, Protocol};
use crate::scan::{is_hash, is_hash_of_nothing};
use crate::time::{self, When};

/// Nodes of one document.
const NODES_MAX: u32 = 50_000;

/// Reads the document in a text, if there is one.
pub(super) fn read(part: u32, text: &str) -> Option<Claim> {
    let plain = unquoted(text);
    let range = cut(&plain, "Infringement").or_else(|| cut(&plain, "acns:Infringement"))?;
    let (xml, repairs) = ampersands(&plain[range.clone()]);
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: NODES_MAX,
        ..ParsingOptions::default()
    };
    let mut claim = Claim::new(Format::Acns);
    if repairs > 0 {
        claim.remarks.push(format!(
            "{repairs} bare ampersand(s) in the XML were read as text"
        ));
    }
    // A prefix that is declared on an element around it is unknown here; then declare it.
    let declared;
    let xml: &str = if xml.starts_with("<acns:") && !xml.contains("xmlns:acns") {
        declared = xml.replacen(
            "<acns:Infringement",
            "<acns:Infringement xmlns:acns=\"acns\"",
            1,
        );
        &declared
    } else {
        &xml
    };
    let document = match Document::parse_with_options(xml, options) {
        Ok(document) => document,
        Err(error) => {
            claim.faults.push(Fault {
                what: format!("the ACNS XML cannot be read: {error}"),
                place: Place::new(part, range),
            });
            return Some(claim);
        }
    };
    let reader = Reader {
        part,
        text: &plain,
        exact: repairs == 0 && xml.len() == range.len(),
        offset: range.start,
    };
    reader.fill(document.root_element(), &mut claim);
    Some(claim)
}

struct Reader<'a> {
    part: u32,
    text: &'a str,
    /// Whether positions in the document are positions in the text.
    exact: bool,
    offset: usize,
}

impl Reader<'_> {
    fn place(&self, node: Node<'_, '_>) -> Place {
        if self.exact {
            let range = node.range();
            Place::new(
                self.part,
                range.start + self.offset..range.end + self.offset,
            )
        } else {
            place_of(self.part, self.text, node.text().unwrap_or("").trim())
        }
    }

    fn time(&self, from: Node<'_, '_>, path: &[&str], claim: &mut Claim) -> Option<Fact<When>> {
        let node = self.at_owned(from, path)?;
        match time::read(&node.value) {
            Some((when, _)) => Some(replace(&node, when)),
            None => {
                claim.faults.push(Fault {
                    what: format!("{} is no time: {}", node.field, shortened(&node.value)),
                    place: node.place,
                });
                None
            }
        }
    }

    /// The text of a child found by a path of local names.
    fn at_owned(&self, from: Node<'_, '_>, path: &[&str]) -> Option<Fact<String>> {
        let node = path.iter().try_fold(from, |node, name| {
            node.children()
                .find(|child| child.is_element() && child.tag_name().name() == *name)
        })?;
        let value = node.text()?.trim().to_owned();
        let field = format!("{}/{}", from.tag_name().name(), path.join("/"));
        (!value.is_empty()).then(|| fact(value, &field, self.place(node)))
    }

    fn fill(&self, root: Node<'_, '_>, claim: &mut Claim) {
        claim.case = self.at_owned(root, &["Case", "ID"]);
        claim.complainant = self.at_owned(root, &["Complainant", "Entity"]);
        let mut event = Event::default();
        if let Some(source) = child(root, "Source") {
            event.time = self.time(source, &["TimeStamp"], claim);
            event.address = self.parsed(source, "IP_Address", claim);
            event.port = self
                .parsed::<u16>(source, "Port", claim)
                .filter(|port| port.value != 0);
            event.protocol = self
                .at_owned(source, &["Protocol"])
                .and_then(|f| Protocol::named(&f.value).map(|protocol| replace(&f, protocol)));
        }
        let mut item_times = Vec::new();
        for item in root
            .descendants()
            .filter(|node| node.tag_name().name() == "Item")
            .take(EVENTS_MAX)
        {
            item_times.extend(self.time(item, &["TimeStamp"], claim));
            for hash in item
                .children()
                .filter(|node| node.tag_name().name() == "Hash")
            {
                self.hash(hash, &mut event, claim);
            }
        }
        // One item tells when the event was; of several each may have its own hour.
        match item_times.as_slice() {
            [one] => {
                if event.time.is_none() {
                    event.time = Some(one.clone());
                } else {
                    claim.asides.push(Aside::Time(one.clone()));
                }
            }
            _ => event.time = event.time.take().or_else(|| item_times.first().cloned()),
        }
        for mapping in root
            .descendants()
            .filter(|node| node.tag_name().name() == "Mapping")
            .take(50)
        {
            if let Some(address) = self.parsed(mapping, "OriginalIP", claim) {
                claim.asides.push(Aside::Address(address));
            }
        }
        claim.events.push(event);
    }

    fn hash(&self, node: Node<'_, '_>, event: &mut Event, claim: &mut Claim) {
        let value = node.text().unwrap_or("").trim().to_ascii_lowercase();
        let place = self.place(node);
        if is_hash(&value) && is_hash_of_nothing(&value) {
            claim.faults.push(Fault {
                what: "the content hash is that of an empty file, or one digit repeated".to_owned(),
                place,
            });
        }
        if event.content_hash.is_none() && !value.is_empty() {
            event.content_hash = Some(fact(value, "Item/Hash", place));
        }
    }

    fn parsed<T: std::str::FromStr>(
        &self,
        from: Node<'_, '_>,
        name: &str,
        claim: &mut Claim,
    ) -> Option<Fact<T>> {
        let found = self.at_owned(from, &[name])?;
        match found.value.parse() {
            Ok(value) => Some(replace(&found, value)),
            Err(_) => {
                claim.faults.push(Fault {
                    what: format!("{} is none: {}", found.field, shortened(&found.value)),
                    place: found.place,
                });
                None
            }
        }
    }
}

fn child<'a, 'd>(node: Node<'a, 'd>, name: &str) -> Option<Node<'a, 'd>> {
    node.children()
        .find(|child| child.tag_name().name() == name)
}

fn replace<T>(found: &Fact<String>, value: T) -> Fact<T> {
    Fact {
        value,
        field: found.field.clone(),
        place: found.place,
    }
}

/// A hostile text, short and without control signs.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}
