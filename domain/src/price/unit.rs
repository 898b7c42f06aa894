//! What a price is for: exact unit classes, and which class is part of which.
//!
//! A unit of usage falls into exactly one class, the narrowest that describes it: a token of the prompt that was read
//! from the cache is `cache_read` and not `input`. The classes' names are the keys of the ledger's `usage` map and the
//! units of invoice lines, so they never change; a new class is a new row of [`UNITS`].
//!
//! A class is described by a set of traits (token, of the input, audio, read from cache). A class whose traits are a
//! subset of another's is the wider one, its *ancestor*: where a price list has no rate for a class, the nearest
//! ancestor's rate covers it.

use std::fmt;

/// An exact class of billable units. The names of the variants say what is left when narrower classes are taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum UnitClass {
    /// Prompt tokens that no narrower class claims.
    Input,
    /// Prompt tokens read from the provider's cache.
    CacheRead,
    /// Prompt tokens written to the provider's cache for its usual lifetime (five minutes where there are two).
    CacheWrite5m,
    /// Prompt tokens written to the provider's cache for one hour.
    CacheWrite1h,
    /// Audio tokens of the prompt.
    AudioInput,
    /// Audio tokens read from the provider's cache.
    AudioCacheRead,
    /// Audio tokens written to the provider's cache.
    AudioCacheWrite,
    /// Image tokens of the prompt.
    ImageInput,
    /// Image tokens read from the provider's cache.
    ImageCacheRead,
    /// Image tokens written to the provider's cache.
    ImageCacheWrite,
    /// Video tokens of the prompt.
    VideoInput,
    /// Video tokens read from the provider's cache.
    VideoCacheRead,
    /// Video tokens written to the provider's cache.
    VideoCacheWrite,
    /// Generated tokens that no narrower class claims.
    Output,
    /// Generated tokens of reasoning, where the price list names them apart.
    Reasoning,
    /// Generated tokens of citations, where the price list names them apart.
    Citation,
    /// Generated audio tokens.
    AudioOutput,
    /// Generated image tokens.
    ImageOutput,
    /// Generated video tokens.
    VideoOutput,
    /// Seconds of audio, of whichever direction.
    AudioSeconds,
    /// Seconds of audio that were sent.
    AudioInputSeconds,
    /// Seconds of audio that were generated.
    AudioOutputSeconds,
    /// Characters that were sent.
    InputCharacters,
    /// Text messages that were sent (voice models bill them apart).
    InputTextMessages,
    /// Pixels that were sent.
    InputPixels,
    /// Pages of documents that were sent.
    DocumentPages,
    /// Pages of documents that were sent to be annotated.
    AnnotatedDocumentPages,
    /// The call itself: always one.
    Requests,
    /// Searches of the web by the provider.
    WebSearches,
    /// Searches of the provider's file storage.
    StorageSearches,
    /// Searches of social media by the provider.
    SocialSearches,
    /// Runs of code by the provider.
    CodeExecutions,
    /// Searches that a reranker was asked for.
    RerankSearches,
    /// Images that were generated, where they are not counted in tokens.
    Images,
    /// Seconds of video that were generated.
    VideoSeconds,
    /// Characters that were generated.
    OutputCharacters,
    /// Runs of other tools by the provider.
    OtherToolCalls,
}

/// One row of the table of classes.
struct Unit {
    class: UnitClass,
    name: &'static str,
    /// Other names the same quantity arrives under: the price data's name, and what instrumentations say.
    aliases: &'static [&'static str],
    /// The price data's key for a rate, and how many units that rate is for.
    price_key: &'static str,
    per: u32,
    traits: u32,
}

// Traits exclude each other within a group; each has a bit of its own.
const TOKENS: u32 = 1;
const DURATIONS: u32 = 1 << 1;
const CHARACTERS: u32 = 1 << 2;
const MESSAGES: u32 = 1 << 3;
const PIXELS: u32 = 1 << 4;
const PAGES: u32 = 1 << 5;
const REQUESTS: u32 = 1 << 6;
const TOOLS: u32 = 1 << 7;
const RERANK: u32 = 1 << 8;
const IN: u32 = 1 << 9;
const OUT: u32 = 1 << 10;
const TEXT: u32 = 1 << 11;
const AUDIO: u32 = 1 << 12;
const IMAGE: u32 = 1 << 13;
const VIDEO: u32 = 1 << 14;
const CACHE_READ: u32 = 1 << 15;
const CACHE_WRITE: u32 = 1 << 16;
const REASONING: u32 = 1 << 17;
const CITATION: u32 = 1 << 18;
const ONE_HOUR: u32 = 1 << 19;
const WEB: u32 = 1 << 20;
const STORAGE: u32 = 1 << 21;
const SOCIAL: u32 = 1 << 22;
const CODE: u32 = 1 << 23;
const ANNOTATED: u32 = 1 << 24;
const PICTURES: u32 = 1 << 25;
const OTHER: u32 = 1 << 26;

/// Traits of which a class has at most one.
const GROUPS: [u32; 5] = [
    TOKENS | DURATIONS | CHARACTERS | MESSAGES | PIXELS | PAGES | REQUESTS | TOOLS | RERANK | PICTURES,
    IN | OUT,
    TEXT | AUDIO | IMAGE | VIDEO,
    CACHE_READ | CACHE_WRITE | REASONING | CITATION,
    WEB | STORAGE | SOCIAL | CODE | OTHER,
];

const MILLION: u32 = 1_000_000;
const BILLION: u32 = 1_000_000_000;
const THOUSAND: u32 = 1_000;
const HOUR: u32 = 3_600;

macro_rules! units {
    ($($class:ident $name:literal [$($alias:literal),*] $key:literal per $per:ident: $($mark:ident)+;)*) => {
        /// The classes, in the order of [`UnitClass`].
        const UNITS: &[Unit] = &[$(Unit {
            class: UnitClass::$class,
            name: $name,
            aliases: &[$($alias),*],
            price_key: $key,
            per: $per,
            traits: 0 $(| $mark)+,
        }),*];
    };
}

units! {
    Input "input" ["input_tokens"] "input_mtok" per MILLION: TOKENS IN;
    CacheRead "cache_read" ["cache_read_tokens"] "cache_read_mtok" per MILLION: TOKENS IN CACHE_READ;
    CacheWrite5m "cache_write_5m" ["cache_write_tokens"] "cache_write_mtok" per MILLION: TOKENS IN CACHE_WRITE;
    CacheWrite1h "cache_write_1h" ["cache_write_1h_tokens"] "cache_write_1h_mtok" per MILLION: TOKENS IN CACHE_WRITE ONE_HOUR;
    AudioInput "audio_input" ["input_audio_tokens", "audio_input_tokens"] "input_audio_mtok" per MILLION: TOKENS IN AUDIO;
    AudioCacheRead "audio_cache_read" ["cache_audio_read_tokens"] "cache_audio_read_mtok" per MILLION: TOKENS IN AUDIO CACHE_READ;
    AudioCacheWrite "audio_cache_write" ["cache_audio_write_tokens"] "cache_audio_write_mtok" per MILLION: TOKENS IN AUDIO CACHE_WRITE;
    ImageInput "image_input" ["input_image_tokens"] "input_image_mtok" per MILLION: TOKENS IN IMAGE;
    ImageCacheRead "image_cache_read" ["cache_image_read_tokens"] "cache_image_read_mtok" per MILLION: TOKENS IN IMAGE CACHE_READ;
    ImageCacheWrite "image_cache_write" ["cache_image_write_tokens"] "cache_image_write_mtok" per MILLION: TOKENS IN IMAGE CACHE_WRITE;
    VideoInput "video_input" ["input_video_tokens"] "input_video_mtok" per MILLION: TOKENS IN VIDEO;
    VideoCacheRead "video_cache_read" ["cache_video_read_tokens"] "cache_video_read_mtok" per MILLION: TOKENS IN VIDEO CACHE_READ;
    VideoCacheWrite "video_cache_write" ["cache_video_write_tokens"] "cache_video_write_mtok" per MILLION: TOKENS IN VIDEO CACHE_WRITE;
    Output "output" ["output_tokens"] "output_mtok" per MILLION: TOKENS OUT;
    Reasoning "reasoning" ["output_reasoning_tokens", "reasoning_tokens"] "output_reasoning_mtok" per MILLION: TOKENS OUT REASONING;
    Citation "citation" ["output_citation_tokens", "citation_tokens"] "output_citation_mtok" per MILLION: TOKENS OUT CITATION;
    AudioOutput "audio_output" ["output_audio_tokens", "audio_output_tokens"] "output_audio_mtok" per MILLION: TOKENS OUT AUDIO;
    ImageOutput "image_output" ["output_image_tokens"] "output_image_mtok" per MILLION: TOKENS OUT IMAGE;
    VideoOutput "video_output" ["output_video_tokens"] "output_video_mtok" per MILLION: TOKENS OUT VIDEO;
    AudioSeconds "audio_seconds" ["seconds"] "audio_hours" per HOUR: DURATIONS AUDIO;
    AudioInputSeconds "audio_input_seconds" ["input_audio_seconds"] "input_audio_hours" per HOUR: DURATIONS IN AUDIO;
    AudioOutputSeconds "audio_output_seconds" ["output_audio_seconds"] "output_audio_hours" per HOUR: DURATIONS OUT AUDIO;
    InputCharacters "input_characters" ["characters"] "input_mchars" per MILLION: CHARACTERS IN;
    InputTextMessages "input_text_messages" [] "input_text_messages_kcount" per THOUSAND: MESSAGES IN TEXT;
    InputPixels "input_pixels" [] "input_gpixels" per BILLION: PIXELS IN;
    DocumentPages "document_pages" ["input_document_pages", "pages"] "input_document_kpages" per THOUSAND: PAGES IN;
    AnnotatedDocumentPages "annotated_document_pages" ["input_annotated_document_pages"] "input_annotated_document_kpages" per THOUSAND: PAGES IN ANNOTATED;
    Requests "requests" [] "requests_kcount" per THOUSAND: REQUESTS;
    WebSearches "web_searches" ["web_search_requests"] "web_searches_kcount" per THOUSAND: TOOLS WEB;
    StorageSearches "storage_searches" ["file_searches"] "storage_searches_kcount" per THOUSAND: TOOLS STORAGE;
    SocialSearches "social_searches" [] "social_searches_kcount" per THOUSAND: TOOLS SOCIAL;
    CodeExecutions "code_executions" [] "code_executions_kcount" per THOUSAND: TOOLS CODE;
    RerankSearches "rerank_searches" [] "rerank_searches_kcount" per THOUSAND: RERANK;
    Images "images" ["output_images"] "images_kcount" per THOUSAND: PICTURES;
    VideoSeconds "video_seconds" ["output_video_seconds"] "video_hours" per HOUR: DURATIONS VIDEO;
    OutputCharacters "output_characters" [] "output_mchars" per MILLION: CHARACTERS OUT;
    OtherToolCalls "other_tool_calls" ["tool_calls"] "other_tool_calls_kcount" per THOUSAND: TOOLS OTHER;
}

impl UnitClass {
    /// How many classes there are.
    pub const COUNT: usize = UNITS.len();

    /// Every class, wider ones before their parts.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> + Clone {
        UNITS.iter().map(|unit| unit.class)
    }

    /// The class's name in the ledger's `usage` map and on invoices.
    pub fn name(self) -> &'static str {
        self.unit().name
    }

    /// The class that a quantity of this name falls in. Reads [`UnitClass::name`] and the names that the price data and
    /// instrumentations use for the same quantity.
    pub fn named(name: &str) -> Option<Self> {
        UNITS.iter().find(|unit| unit.name == name || unit.aliases.contains(&name)).map(|unit| unit.class)
    }

    /// The class that a key of the price data (`input_mtok`) is for, and the units that its rate buys.
    pub fn of_price_key(key: &str) -> Option<(Self, u32)> {
        UNITS.iter().find(|unit| unit.price_key == key).map(|unit| (unit.class, unit.per))
    }

    /// Every key of the price data that is understood.
    pub fn price_keys() -> impl Iterator<Item = &'static str> {
        UNITS.iter().map(|unit| unit.price_key)
    }

    /// The key of the price data for this class, and the units that its rate buys.
    pub fn price_key(self) -> (&'static str, u32) {
        (self.unit().price_key, self.unit().per)
    }

    /// Whether this class is wider than `other`: everything in `other` is also of this kind.
    pub fn is_ancestor_of(self, other: Self) -> bool {
        self != other && self.unit().traits & other.unit().traits == self.unit().traits
    }

    /// How narrowly the class is described. An ancestor's is always smaller.
    pub fn narrowness(self) -> u32 {
        self.unit().traits.count_ones()
    }

    /// Whether it is a part of the prompt, counted in tokens.
    pub fn is_prompt_token(self) -> bool {
        self.unit().traits & (TOKENS | IN) == TOKENS | IN
    }

    /// Whether it is a part of what was generated, counted in tokens.
    pub fn is_generated_token(self) -> bool {
        self.unit().traits & (TOKENS | OUT) == TOKENS | OUT
    }

    /// Where its tokens stand in a prompt, the first place first: caches hold beginnings. `None` for what is no part of one.
    pub fn place_in_prompt(self) -> Option<u8> {
        let place = match self.unit().traits & (CACHE_READ | CACHE_WRITE) {
            CACHE_READ => 0,
            CACHE_WRITE => 1,
            _ => 2,
        };
        self.is_prompt_token().then_some(place)
    }

    /// Whether something can be of both kinds at once without one kind being the wider.
    pub fn overlaps(self, other: Self) -> bool {
        let both = self.unit().traits | other.unit().traits;
        let comparable = self == other || self.is_ancestor_of(other) || other.is_ancestor_of(self);
        !comparable && GROUPS.iter().all(|group| (both & group).count_ones() <= 1)
    }

    /// The class of what is of both kinds, where there is one.
    pub fn overlap(self, other: Self) -> Option<Self> {
        let both = self.unit().traits | other.unit().traits;
        UNITS.iter().find(|unit| unit.traits == both).map(|unit| unit.class)
    }

    fn unit(self) -> &'static Unit {
        &UNITS[self as usize]
    }
}

impl fmt::Display for UnitClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_stands_in_the_order_of_the_enum() {
        for (at, unit) in UNITS.iter().enumerate() {
            assert_eq!(unit.class as usize, at, "{}", unit.name);
        }
    }

    #[test]
    fn every_name_means_one_class() {
        let mut names = BTreeSet::new();
        for unit in UNITS {
            for name in std::iter::once(&unit.name).chain(unit.aliases) {
                assert!(names.insert(*name), "{name} names two classes");
                assert_eq!(UnitClass::named(name), Some(unit.class));
            }
            assert!(names.insert(unit.price_key), "{} is two keys", unit.price_key);
        }
    }

    #[test]
    fn no_class_has_two_traits_of_a_group() {
        for unit in UNITS {
            assert!(GROUPS.iter().all(|group| (unit.traits & group).count_ones() <= 1), "{}", unit.name);
        }
    }

    #[test]
    fn classes_know_their_ancestors_and_overlaps() {
        use UnitClass::*;
        assert!(Input.is_ancestor_of(CacheWrite1h) && CacheWrite5m.is_ancestor_of(CacheWrite1h));
        assert!(!CacheRead.is_ancestor_of(CacheWrite5m) && !Input.is_ancestor_of(Output));
        assert!(!Input.is_ancestor_of(Input));
        assert!(
            AudioInput.overlaps(CacheRead) && !AudioInput.overlaps(ImageInput) && !Input.overlaps(CacheRead)
        );
        assert_eq!(AudioInput.overlap(CacheRead), Some(AudioCacheRead));
        assert_eq!(AudioInput.overlap(CacheWrite1h), None);
        assert!(!WebSearches.overlaps(Input));
    }
}
