//! Price and plan files that nobody meant: every format, in every wrong encoding, empty, cut off, huge, and with all
//! faults of content at once. Each is refused with what is wrong and where; none is read in part.

use billing::plans::PlanSource;
use billing::prices::{FILE_MAX, Fault, PriceFileError, Source};

const GENAI: &str = r#"[
  {"id": "openai", "models": [
    {"id": "gpt-4o", "match": {"equals": "gpt-4o"}, "prices": {"input_mtok": 2.5, "output_mtok": 10}}
  ]}
]
"#;
const LITELLM: &str = r#"{
  "gpt-4o": {"litellm_provider": "openai", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05}
}
"#;
const TOML: &str =
    "[[price]]\nprovider = \"openai\"\nmodel = \"gpt-4o\"\ninput_mtok = 2.5\noutput_mtok = 10\n";
const CSV: &str = "provider,model,unit,price\nopenai,gpt-4o,input_mtok,2.5\nopenai,gpt-4o,output_mtok,10\n";
const PLANS: &str =
    "[[plan]]\nname = \"all\"\nmarkup_percent = 20\n[[assign]]\ntenant = \"*\"\nplan = \"all\"\n";

/// Each format: a name that leads to it, and a file without a fault.
const FILES: [(&str, &str); 5] = [
    ("genai.json", GENAI),
    ("litellm.json", LITELLM),
    ("own.toml", TOML),
    ("own.csv", CSV),
    ("plans.toml", PLANS),
];

/// An error and its causes, in one line, as the program says it.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What is said of a file that is to be imported; `None` where nothing is wrong with it.
fn said(name: &str, bytes: Vec<u8>) -> Option<String> {
    if name == "plans.toml" {
        let source = PlanSource { name: name.into(), content: bytes };
        return source.check("USD").err().map(|error| chain(&error));
    }
    let read = Source::of_file(name, bytes).and_then(|source| source.read_new("USD"));
    read.err().map(|error| chain(&error))
}

fn refused(name: &str, bytes: Vec<u8>, expected: &str) {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
    let said = said(name, bytes).unwrap_or_else(|| panic!("{name} was taken: {shown:?}"));
    assert!(said.contains(expected), "{name} {shown:?}: {said}");
}

fn faults(name: &str, text: &str) -> Vec<String> {
    match Source::of_file(name, text.as_bytes().to_vec()).and_then(|source| source.read_new("USD")) {
        Err(PriceFileError::Faults(faults)) => faults.iter().map(Fault::to_string).collect(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_file_in_another_encoding_is_told_and_a_byte_order_mark_is_not_one() {
    for (name, text) in FILES {
        assert_eq!(said(name, text.into()), None, "{name}");
        assert_eq!(said(name, format!("\u{feff}{text}").into_bytes()), None, "{name} with a byte order mark");
        let wide = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        let marked = |mark: [u8; 2], wide: Vec<u8>| mark.into_iter().chain(wide).collect::<Vec<u8>>();
        refused(name, marked([0xff, 0xfe], wide(u16::to_le_bytes)), "UTF-16");
        refused(name, marked([0xfe, 0xff], wide(u16::to_be_bytes)), "UTF-16");
        refused(name, wide(u16::to_le_bytes), "UTF-16");
        refused(name, wide(u16::to_be_bytes), "UTF-16");
        // An e acute of Latin-1, and a NUL, in the second line.
        let (first, rest) = text.split_once('\n').unwrap();
        let with = |odd: &[u8]| [first.as_bytes(), b"\n", odd, rest.as_bytes()].concat();
        refused(name, with(b"\xe9"), "line 2 of the file is not UTF-8");
        refused(name, with(b"\0"), "line 2 of the file is not UTF-8, it holds NUL bytes");
    }
}

#[test]
fn an_empty_or_huge_file_is_refused_whatever_its_name() {
    for (name, text) in FILES {
        for empty in ["", "\n", " \r\n\t\n", "\u{feff}"] {
            refused(name, empty.into(), "is empty");
        }
        let huge = text.bytes().chain(std::iter::repeat_n(b'\n', FILE_MAX)).collect();
        refused(name, huge, "more bytes than any price list");
    }
    // What states its currency and no price takes the prices of its origin back: that was meant.
    assert_eq!(said("own.toml", b"currency = \"USD\"\n".to_vec()), None);
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_refused_or_ends_between_two_prices() {
    for (name, text) in &FILES[..2] {
        for end in 1..text.trim_end().len() {
            assert!(said(name, text.as_bytes()[..end].to_vec()).is_some(), "{name} cut off at {end}");
        }
        refused(name, text[..text.len() / 2].into(), "line");
    }
    refused("own.toml", TOML[..TOML.find("gpt-4o").unwrap()].into(), "line 3");
    // A rate that is gone is not seen; a row that is cut off is, unless what is left of it is a row.
    refused("own.csv", CSV[..CSV.rfind(",10").unwrap()].into(), "line 3");
    refused("own.csv", CSV[..CSV.rfind("10").unwrap()].into(), "line 3");
}

#[test]
fn every_fault_of_a_genai_prices_file_is_named_with_provider_and_model() {
    let found = faults(
        "genai.json",
        r#"[
          {"id": "a", "models": [
            {"id": "m", "match": {"equals": "m"}, "prices": {"input_mtok": -1}},
            {"id": "n", "match": {"equals": "n"}, "prices": {"input_mtok": 1e30}},
            {"id": "o", "match": {"equals": "o"}, "prices": {"input_mtok": "2"}},
            {"id": "p", "match": {"equals": "p"}, "prices": {"input_mtok": 1, "input_mtok": 2}},
            {"id": "q", "match": {"equals": "q"}, "prices": {"input_mtok": 1}},
            {"id": "q", "match": {"equals": "q"}, "prices": {"input_mtok": 1}},
            {"id": "r", "match": {"sounds_like": "r"}, "prices": {}}
          ]},
          {"id": "a", "models": []},
          {"id": "B", "models": []}
        ]"#,
    );
    for expected in [
        "/0/models/3/prices/input_mtok: stands twice",
        "provider \"a\", model \"m\": input_mtok: -1 is negative",
        "provider \"a\", model \"n\": input_mtok: 1",
        "provider \"a\", model \"o\": input_mtok: \"2\" is not a number",
        "provider \"a\", model \"r\": \"sounds_like\" is not an operation",
        "provider \"B\": id must be a name in lower case",
        "provider \"a\": is listed twice",
        "provider \"a\", model \"q\": is listed twice",
    ] {
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{expected}\n{}", found.join("\n"));
    }
    assert_eq!(found.len(), 8, "{}", found.join("\n"));
}

#[test]
fn a_key_that_stands_twice_in_a_litellm_model_is_a_fault_beside_all_others() {
    let found = faults(
        "litellm.json",
        r#"{"a": {"litellm_provider": "openai", "input_cost_per_token": 1e-6, "input_cost_per_token": 2e-6},
            "b": {"litellm_provider": "openai", "input_cost_per_token": -1},
            "b": {"litellm_provider": "openai", "input_cost_per_token": 1e-6}}"#,
    );
    let at: Vec<&str> = found.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    assert_eq!(at, ["/a/input_cost_per_token", "model \"b\"", "model \"b\""], "{found:?}");
}

/// The data that comes with the program, as a file that somebody imports: held to the same.
#[test]
fn the_bundled_data_may_be_imported() {
    assert_eq!(said("genai.json", Source::bundled().content), None);
}
