// SPDX-License-Identifier: MPL-2.0

//! `@symblai/react-elements`, the components for pages, with a conversation that a job of the
//! Async API made.

use crate::app::{closed, run};
use crate::node::node;
use symbl_testkit::service::Service;

#[test]
fn a_page_shows_a_text_that_was_submitted_with_its_topics() {
    let Some(mut node) = node("elements.js") else {
        return;
    };
    let service = Service::with(closed);
    let page = run(node.arg(service.url()), |_| {});
    let text = |part: &str| page[part].as_str().expect("a text").to_owned();
    let transcript = text("transcript");
    for shown in [
        "Ada",
        "Grace",
        "Can you send me the budget report?",
        "I will check the budget report tomorrow.",
    ] {
        assert!(transcript.contains(shown), "{shown}: {page}");
    }
    assert!(text("topics").contains("Budget report"), "{page}");
    let highlighted = page["highlighted"].as_array().expect("a list");
    assert!(
        highlighted.contains(&"check the budget report".into()),
        "{page}"
    );
}
