//! One setting, and the place where all values lie.

use super::processes::Processes;
use super::value::Value;
use crate::service::config::Config;
use log::LevelFilter;

/// What a command line decides: the server, and what belongs to the program as a whole.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) server: Config,
    /// Where the server's own log goes; `-` is the standard error.
    pub(crate) error_log: String,
    pub(crate) log_level: LevelFilter,
    pub(crate) processes: Processes,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: Config::default(),
            error_log: "-".to_owned(),
            log_level: LevelFilter::Info,
            processes: Processes::default(),
        }
    }
}

/// One setting.
pub(crate) struct Setting {
    /// The long flag, without its dashes.
    pub(crate) flag: &'static str,
    pub(crate) short: Option<char>,
    /// Another name of the flag, which gunicorn has.
    pub(crate) alias: Option<&'static str>,
    /// Another environment variable than [`variable`](Self::variable), which gunicorn has.
    pub(crate) other_variable: Option<&'static str>,
    /// What the flag takes, with the unit: `SECONDS`, `BYTES`. Empty for a switch.
    pub(crate) value: &'static str,
    /// The words that it may be, where it is one of a few.
    pub(crate) words: &'static [&'static str],
    /// The value of the flag where it stands alone.
    pub(crate) missing: Option<&'static str>,
    /// Its default in words, where the value itself says too little. Else the value is shown.
    pub(crate) default: Option<&'static str>,
    pub(crate) help: &'static str,
    /// The smallest number and the largest that make sense.
    least: usize,
    most: usize,
    /// 0 stands for no limit.
    zero_is_none: bool,
    at: fn(&mut Settings) -> &mut dyn Value,
}

impl Setting {
    pub(super) const fn new(
        flag: &'static str,
        value: &'static str,
        at: fn(&mut Settings) -> &mut dyn Value,
        help: &'static str,
    ) -> Self {
        Self {
            flag,
            short: None,
            alias: None,
            other_variable: None,
            value,
            words: &[],
            missing: None,
            default: None,
            help,
            least: 0,
            most: usize::MAX,
            zero_is_none: false,
            at,
        }
    }

    pub(super) const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    pub(super) const fn alias(mut self, name: &'static str) -> Self {
        self.alias = Some(name);
        self
    }

    pub(super) const fn other_variable(mut self, name: &'static str) -> Self {
        self.other_variable = Some(name);
        self
    }

    pub(super) const fn default(mut self, words: &'static str) -> Self {
        self.default = Some(words);
        self
    }

    pub(super) const fn words(mut self, words: &'static [&'static str]) -> Self {
        self.words = words;
        self
    }

    pub(super) const fn missing(mut self, text: &'static str) -> Self {
        self.missing = Some(text);
        self
    }

    pub(super) const fn least(mut self, number: usize) -> Self {
        self.least = number;
        self
    }

    pub(super) const fn most(mut self, number: usize) -> Self {
        self.most = number;
        self
    }

    pub(super) const fn zero_is_none(mut self) -> Self {
        self.zero_is_none = true;
        self
    }

    /// Whether the flag takes no value.
    pub(crate) fn is_switch(&self) -> bool {
        self.value.is_empty()
    }

    /// Whether there may be several values.
    pub(crate) fn is_list(&self) -> bool {
        (self.at)(&mut Settings::default()).is_list()
    }

    /// Whether its values are numbers.
    pub(crate) fn is_number(&self) -> bool {
        ["N", "SECONDS", "BYTES", "CODE"].contains(&self.value)
    }

    /// Whether its value is itself a list, with commas, that may be empty.
    pub(crate) fn is_comma_list(&self) -> bool {
        self.value == "LIST"
    }

    /// The environment variable that stands in for the flag.
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLES}{}", self.flag.replace('-', "_").to_uppercase())
    }

    /// Puts `texts` in the place of the value that there is; several only if it is a list.
    ///
    /// # Errors
    /// The text that is wrong, and what would be right.
    pub(crate) fn replace<'a>(
        &self,
        settings: &mut Settings,
        texts: &'a [String],
    ) -> Result<(), (&'a str, String)> {
        (self.at)(settings).clear();
        for text in texts {
            let taken = self.read(settings, text);
            taken.map_err(|right| (text.as_str(), right))?;
        }
        Ok(())
    }

    /// Takes the value from `text`.
    ///
    /// # Errors
    /// What would be right, for the one who gave it.
    pub(crate) fn read(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        let wrong = |number: usize| number > self.most || number < self.least;
        if text.parse().is_ok_and(wrong) {
            let least = self.least.max(1);
            return Err(format!("a whole number from {least} to {}", self.most));
        }
        let place = (self.at)(settings);
        if self.zero_is_none && text.parse() == Ok(0.0) {
            place.lift();
            return Ok(());
        }
        place.read(text)
    }

    /// The value as the flag would take it; empty if there is none.
    pub(crate) fn show(&self, settings: &Settings) -> String {
        let mut settings = settings.clone();
        let shown = (self.at)(&mut settings).show();
        if self.zero_is_none {
            (self.at)(&mut settings).lift();
            if (self.at)(&mut settings).show() == shown {
                return "0".to_owned();
            }
        }
        shown
    }

    /// Each of the values as the flag would take it.
    pub(crate) fn show_each(&self, settings: &Settings) -> Vec<String> {
        (self.at)(&mut settings.clone()).show_each()
    }

    /// Whether `settings` have another value than ours.
    pub(crate) fn is_changed_in(&self, settings: &Settings) -> bool {
        self.show(settings) != self.show(&Settings::default())
    }

    /// The default among `defaults` as the flag would take it; `None` if it is described in words.
    pub(crate) fn default_text(&self, defaults: &Settings) -> Option<String> {
        let in_words = self.default.is_some() && !self.is_changed_in(defaults);
        (!in_words).then(|| self.show(defaults))
    }
}

/// What the names of all our environment variables begin with.
pub(crate) const VARIABLES: &str = "GREENWAY_";
