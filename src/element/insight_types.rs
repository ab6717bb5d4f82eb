// SPDX-License-Identifier: MPL-2.0

//! The flags type `GstSymblInsightTypes`: the kinds of insights to ask the service for.
//!
//! It has a module of its own because the macro drops doc comments.

#![allow(missing_docs)]

use gst::glib;
use symbl_protocol::InsightType;

#[glib::flags(name = "GstSymblInsightTypes")]
pub enum InsightTypes {
    #[flags_value(
        name = "Action items: something that somebody is to do",
        nick = "action-item"
    )]
    ACTION_ITEM = 1 << 0,
    #[flags_value(name = "Questions that were asked", nick = "question")]
    QUESTION = 1 << 1,
    #[flags_value(name = "Follow-ups: something to come back to", nick = "follow-up")]
    FOLLOW_UP = 1 << 2,
    #[flags_value(name = "Topics: what is talked about", nick = "topic")]
    TOPIC = 1 << 3,
}

impl InsightTypes {
    /// Returns the kinds as `start_request` lists them.
    pub fn on_the_wire(self) -> Vec<InsightType> {
        let flag = |kind: &InsightType| match kind {
            InsightType::Question => Self::QUESTION,
            InsightType::ActionItem => Self::ACTION_ITEM,
            InsightType::FollowUp => Self::FOLLOW_UP,
            InsightType::Topic => Self::TOPIC,
        };
        InsightType::ALL
            .into_iter()
            .filter(|kind| self.contains(flag(kind)))
            .collect()
    }
}
