// SPDX-License-Identifier: MPL-2.0

//! The word classes that the rules use. The lists were written by hand for English as
//! people speak it on the phone and in meetings. They are not complete.

use super::token::{Token, is_number, stem};
use std::collections::HashMap;
use std::sync::LazyLock;

use self::Class as C;

/// A class of words. Its name in a pattern is in capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// `BE`: forms of `be`.
    Be,
    /// `DO`: forms of `do`.
    Do,
    /// `MODAL`: can, will, should…
    Modal,
    /// `PERSON`: subjects that can act.
    Person,
    /// `PRONOUN`: any pronoun that can be a subject.
    Pronoun,
    /// `OBJECT`: me, you, this…
    Object,
    /// `DET`: words that begin a noun phrase.
    Determiner,
    /// `WH`: question words.
    Interrogative,
    /// `PREP`: prepositions.
    Preposition,
    /// `TASK`: verbs for work that is done after the call.
    Task,
    /// `TASKING`: verbs of `TASK` with -ing.
    Tasking,
    /// `TASKED`: past participles of `TASK`.
    Tasked,
    /// `NOTASK`: verbs of state, and verbs for what is done at once in the call.
    NoTask,
    /// `ADVERB`: words that may stand before a verb.
    Adverb,
    /// `GROUP`: people who act for an organisation.
    Group,
    /// `TALK`: call, meeting, demo…
    Talk,
    /// `WHEN`: first words of a future time.
    When,
    /// `DAY`: days of the week.
    Day,
    /// `NUMBER`: numbers in digits or letters.
    Number,
    /// `FRAGMENT`: words that follow `is` or `can` in a sentence that lost its
    /// subject. Participles and adverbs in -ly belong to it.
    Fragment,
    /// `RIGHTLY`: words after which `right` is not a tag question.
    Rightly,
    /// `BLOCK`: words after which no inversion begins.
    Block,
    /// `NAME`: given names, and any unknown word with a capital inside the sentence.
    Name,
}

#[rustfmt::skip]
const CLASSES: &[(Class, &str, &str)] = &[
    (C::Be, "BE", "is are was were am"),
    (C::Do, "DO", "do does did"),
    (C::Modal, "MODAL", "can could will would shall should may might must"),
    (C::Person, "PERSON", "i you he she we they anyone anybody someone somebody everyone everybody"),
    (C::Pronoun, "PRONOUN", "i you he she it we they this that these those there anyone anybody someone \
        somebody everyone everybody anything something nothing one"),
    (C::Object, "OBJECT", "me you him her us them it this that these those everyone everybody someone somebody"),
    (C::Determiner, "DET", "the a an my your our his her their its this that these those any all some each \
        both another one two three"),
    (C::Interrogative, "WH", "what who whom whose where when why how which"),
    (C::Preposition, "PREP", "for at in to with by since from on of about until under"),
    (C::Task, "TASK", "add adjust analyse analyze announce approve arrange ask assign backup bill book bring build \
        buy call cancel change charge check choose clarify clean close collect compile complete configure \
        confirm contact convert coordinate copy correct create credit decide delete deliver deploy design \
        develop discuss distribute document download draft email enroll escalate evaluate exchange extend \
        fetch file fill find finish fix forward gather give handle hire implement include inform install \
        investigate invite invoice issue launch mail measure message migrate move notify obtain offer order \
        organise organize pay pick plan post prepare present print process produce provide publish purchase \
        reach recruit reduce refund register remind remove renew reorganise reorganize repair replace \
        reply report request research reserve reset resolve restart restore return review rewrite schedule \
        send set setup share ship sign solve submit summarise summarize supply switch talk tell test \
        transfer translate update upgrade upload verify wash sort fax withdraw write"),
    (C::NoTask, "NOTASK", "not never be been have see need like love want know think hope guess remember \
        miss feel believe always understand hear mean seem die live agree enjoy wish suppose say admit assume \
        regret sleep expect go come stay sit stand wait win lose become happen prefer hate fall wake travel \
        visit play remain eat drink watch continue begin start stop leave arrive mention point emphasise \
        emphasize stress explain face cross keep hold press enter dial listen speak repeat select hang spell \
        note excuse pardon help forgive imagine do slow turn key read try to also just still that the a an \
        welcome work laugh cry run rise drop grow again show practise practice use deal pass did does"),
    (C::Adverb, "ADVERB", "also just then now definitely certainly probably immediately quickly personally gladly \
        please kindly maybe perhaps quickly really still first simply always go ahead and"),
    (C::Group, "GROUP", "team department engineer technician colleague colleagues engineers technicians support agent \
        agents manager office sales accounting marketing finance legal engineering operations \
        representative supplier vendor contractor developers developer"),
    (C::Talk, "TALK", "call meeting appointment session demo chat conversation discussion workshop"),
    (C::When, "WHEN", "today tomorrow tonight later soon again next monday tuesday wednesday thursday \
        friday saturday sunday in on at after when this"),
    (C::Day, "DAY", "monday tuesday wednesday thursday friday saturday sunday"),
    (C::Fragment, "FRAGMENT", "not been be have never also now no currently already still only always available \
        busy unavailable and or but of to in on at for with by from as like because"),
    (C::Rightly, "RIGHTLY", "turn the is are am be was all just your my to on that not quite keep stay far do it's alright \
        it up got get did done feel feels seem seems sound sounds look looks exactly always them very all being going"),
    (C::Block, "BLOCK", "i you he she it we they is are was were am do does did can could will would shall should \
        may might must have has had to not who whom that which what where when why how whatever \
        whoever as than so neither nor only never help all everything if whether because and or"),
    (C::Name, "NAME", "adam alan albert alex alexander alice amanda amy andrea andrew angela anita ann anna anne \
        anthony barbara ben benjamin betty brian carl carol caroline catherine charles charlotte chris \
        christian christina christine claire daniel david deborah dennis diana donald donna doris dorothy \
        edward elena elizabeth ellen emily emma eric erica eva fiona francis gary george gerald hannah \
        harold harry heather heidi helen henry ian ingrid isabel ivan jacob james jane janet jason jean \
        jeffrey jennifer jenny jeremy jessica jim joan joe john jonathan jose joseph joshua juan judith \
        judy julia julie karen kate katherine keith kelly kenneth kevin kim larry laura lauren lee linda \
        lisa louis lucy luis lukas marco margaret maria marie mario martha martin mary matthew melissa \
        michael michelle mike mohammed monica nancy natalie nathan nicholas nick nicole nina olga oliver \
        olivia oscar pamela patricia patrick paul pedro peter philip rachel ralph raymond rebecca \
        richard robert roger ronald ruth ryan samantha samuel sandra sara sarah scott sharon sofia sophia \
        sophie stefan stephanie stephen steve steven susan tanya teresa thomas tim timothy tina tom tony \
        ursula vera veronica victor victoria vincent virginia walter wendy william yasmin"),
];

/// Past participles that the stemmer does not reduce to a verb of `TASK`.
const IRREGULAR: &[(&str, &str)] = &[
    ("sent", "send"),
    ("paid", "pay"),
    ("built", "build"),
    ("written", "write"),
    ("brought", "bring"),
    ("bought", "buy"),
    ("found", "find"),
    ("given", "give"),
    ("told", "tell"),
    ("chosen", "choose"),
    ("rewritten", "rewrite"),
    ("withdrawn", "withdraw"),
    ("set", "set"),
    ("reset", "reset"),
    ("done", "complete"),
    ("made", "create"),
];

/// The classes of each word, one bit per class.
static WORDS: LazyLock<HashMap<&'static str, u32>> = LazyLock::new(|| {
    let mut words = HashMap::new();
    for (class, _, list) in CLASSES {
        for word in list.split_whitespace() {
            *words.entry(word).or_default() |= class.bit();
        }
    }
    words
});

/// The stems of all verbs of `TASK`.
static TASK_STEMS: LazyLock<HashMap<String, ()>> = LazyLock::new(|| {
    let list = CLASSES.iter().filter(|(class, ..)| *class == C::Task);
    list.flat_map(|(_, _, words)| words.split_whitespace())
        .map(|word| (stem(word), ()))
        .collect()
});

/// Returns `true` if the word is in a class of words, other than the given names.
pub(super) fn is_listed(word: &str) -> bool {
    WORDS
        .get(word)
        .is_some_and(|bits| bits & !Class::Name.bit() != 0)
}

/// Returns `true` if the word is in the list of given names.
pub(super) fn is_name(word: &str) -> bool {
    WORDS
        .get(word)
        .is_some_and(|bits| bits & Class::Name.bit() != 0)
}

impl Class {
    fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Returns the class with this name in a pattern.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "TASKING" => Some(Self::Tasking),
            "TASKED" => Some(Self::Tasked),
            "NUMBER" => Some(Self::Number),
            _ => CLASSES
                .iter()
                .find(|(_, known, _)| *known == name)
                .map(|(class, ..)| *class),
        }
    }

    /// Returns `true` if `token`, the word at index `at` of a sentence, is in this
    /// class.
    pub fn has(self, token: &Token, at: usize) -> bool {
        let word = token.text.as_str();
        let listed = |word| WORDS.get(word).is_some_and(|bits| bits & self.bit() != 0);
        match self {
            Self::Tasking => word.ends_with("ing") && TASK_STEMS.contains_key(&stem(word)),
            Self::Tasked => {
                IRREGULAR.iter().any(|(form, _)| *form == word)
                    || word.ends_with("ed") && TASK_STEMS.contains_key(&stem(word))
            }
            Self::Number => is_number(word),
            Self::Fragment => {
                listed(word) || ["ed", "ing", "ly"].iter().any(|end| word.ends_with(end))
            }
            Self::Name => {
                listed(word) || at > 0 && token.capital && !WORDS.contains_key(word) && word != "i"
            }
            _ => listed(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::tokens;
    use super::*;

    fn has(class: Class, word: &str) -> bool {
        tokens(word)
            .first()
            .is_some_and(|token| class.has(token, 0))
    }

    #[test]
    fn forms_of_a_task_are_known_by_their_stem() {
        assert!(has(Class::Task, "send") && has(Class::Tasking, "sending"));
        assert!(has(Class::Tasked, "sent") && has(Class::Tasked, "updated"));
        assert!(!has(Class::Tasked, "tired") && !has(Class::Tasking, "raining"));
    }

    #[test]
    fn a_capital_inside_the_sentence_makes_a_name() {
        let found = tokens("Will Zbigniew come on Monday");
        let names: Vec<bool> = (0..5).map(|at| Class::Name.has(&found[at], at)).collect();
        assert_eq!(names, [false, true, false, false, false]);
    }
}
