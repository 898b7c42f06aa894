//! Invoices of providers, worked by hand from the prices they publish: what one call is billed as, line by line.
//!
//! Each case cites the page its prices were read from and writes them as the page does (dollars a million tokens, a
//! thousand searches, an hour of audio). The test holds the citation to the bundled data, the arithmetic to itself, and
//! rating to both.

use chrono::{DateTime, Utc};
use domain::naming;
use domain::price::{Context, UnitClass};
use domain::rate::rate;
use domain::time::EventTime;
use domain::usage::{TokenClass, Usage};
use rust_decimal::Decimal;

/// A case: provider, model, how and when it was called; the page; the usage; a line for each unit; the total.
const INVOICES: &str = "
openai gpt-4o standard 2026-11-21T12:00:00Z
  https://developers.openai.com/api/docs/pricing
  used input 1,000,000; cache_read 600,000; output 200,000
  400,000 input at $2.50 a million = $1.00
  600,000 cache_read at $1.25 a million = $0.75
  200,000 output at $10.00 a million = $2.00
  total $3.75

openai gpt-4o batch 2026-11-21T12:00:00Z, where cached input costs what it always does
  https://developers.openai.com/api/docs/pricing
  used input 1,000,000; cache_read 600,000; output 200,000
  400,000 input at $1.25 a million = $0.50
  600,000 cache_read at $1.25 a million = $0.75
  200,000 output at $5.00 a million = $1.00
  total $2.25

openai gpt-4o priority 2026-11-21T12:00:00Z
  https://developers.openai.com/api/docs/pricing
  used input 1,000,000; cache_read 600,000; output 200,000
  400,000 input at $4.25 a million = $1.70
  600,000 cache_read at $2.125 a million = $1.275
  200,000 output at $17.00 a million = $3.40
  total $6.375

openai gpt-5-2025-08-07 standard 2026-11-21T12:00:00Z, reasoning is output; searches and files by the thousand
  https://developers.openai.com/api/docs/pricing
  used input 10,000; output 5,000; reasoning 4,000; web_searches 7; file_searches 4
  10,000 input at $1.25 a million = $0.0125
  5,000 output at $10.00 a million = $0.05
  7 web_searches at $10.00 a thousand = $0.07
  4 storage_searches at $2.50 a thousand = $0.01
  total $0.1425

openai gpt-5 flex 2026-11-21T12:00:00Z
  https://developers.openai.com/api/docs/pricing
  used input 120,000; cache_read 100,000; output 8,000
  20,000 input at $0.625 a million = $0.0125
  100,000 cache_read at $0.0625 a million = $0.00625
  8,000 output at $5.00 a million = $0.04
  total $0.05875

openai gpt-5 flex 2026-10-11T23:59:59Z, before flex prices are known: standard ones stand in
  https://developers.openai.com/api/docs/pricing
  used input 120,000; cache_read 100,000; output 8,000
  20,000 input at $1.25 a million = $0.025
  100,000 cache_read at $0.125 a million = $0.0125
  8,000 output at $10.00 a million = $0.08
  total $0.1175

openai gpt-5 priority 2026-11-21T12:00:00Z
  https://developers.openai.com/api/docs/pricing
  used input 120,000; cache_read 100,000; output 8,000
  20,000 input at $2.50 a million = $0.05
  100,000 cache_read at $0.25 a million = $0.025
  8,000 output at $20.00 a million = $0.16
  total $0.235

openai gpt-5.4 standard 2026-11-21T12:00:00Z, the longest prompt that is no long prompt
  https://developers.openai.com/api/docs/pricing
  used input 272,000; output 1,000
  272,000 input at $2.50 a million = $0.68
  1,000 output at $15.00 a million = $0.015
  total $0.695

openai gpt-5.4 standard 2026-11-21T12:00:00Z, a token more, and all of it costs more
  https://developers.openai.com/api/docs/pricing
  used input 272,001; output 1,000
  272,001 input at $5.00 a million = $1.360005
  1,000 output at $22.50 a million = $0.0225
  total $1.382505

openai gpt-5.4 flex 2026-11-21T12:00:00Z, a long prompt with prices of its own
  https://developers.openai.com/api/docs/pricing
  used input 300,000; cache_read 200,000; output 1,000
  100,000 input at $2.50 a million = $0.25
  200,000 cache_read at $0.25 a million = $0.05
  1,000 output at $11.25 a million = $0.01125
  total $0.31125

openai o3 standard 2025-06-09T23:59:59Z, the last second of the old price
  https://developers.openai.com/api/docs/pricing
  used input 100,000; output 10,000
  100,000 input at $10.00 a million = $1.00
  10,000 output at $40.00 a million = $0.40
  total $1.40

openai o3 standard 2025-06-10T00:00:00Z, the first of the new
  https://developers.openai.com/api/docs/pricing
  used input 100,000; output 10,000
  100,000 input at $2.00 a million = $0.20
  10,000 output at $8.00 a million = $0.08
  total $0.28

openai gpt-audio standard 2026-11-21T12:00:00Z
  https://developers.openai.com/api/docs/pricing
  used input 10,000; audio_input 6,000; output 4,000; audio_output 3,000
  4,000 input at $2.50 a million = $0.01
  6,000 audio_input at $32.00 a million = $0.192
  1,000 output at $10.00 a million = $0.01
  3,000 audio_output at $64.00 a million = $0.192
  total $0.404

openai gpt-realtime standard 2026-11-21T12:00:00Z, some of the cached prompt is audio
  https://developers.openai.com/api/docs/pricing
  used input 10,000; cache_read 5,000; audio_input 6,000; cache_audio_read_tokens 4,000; output 2,000; audio_output 1,500
  3,000 input at $4.00 a million = $0.012
  1,000 cache_read at $0.40 a million = $0.0004
  2,000 audio_input at $32.00 a million = $0.064
  4,000 audio_cache_read at $0.40 a million = $0.0016
  500 output at $16.00 a million = $0.008
  1,500 audio_output at $64.00 a million = $0.096
  total $0.182

openai gpt-image-1 standard 2026-11-21T12:00:00Z, a picture from a picture and a sentence
  https://developers.openai.com/api/docs/pricing
  used input 1,500; input_image_tokens 1,000; output 4,160
  500 input at $5.00 a million = $0.0025
  1,000 image_input at $10.00 a million = $0.01
  4,160 output at $40.00 a million = $0.1664
  total $0.1789

openai text-embedding-3-small standard 2026-11-21T12:00:00Z
  https://developers.openai.com/api/docs/pricing
  used input 8,191
  8,191 input at $0.02 a million = $0.00016382
  total $0.00016382

openai whisper-1 standard 2026-11-21T12:00:00Z, a minute and a half
  https://developers.openai.com/api/docs/pricing
  used seconds 90
  90 audio_seconds at $0.36 an hour = $0.009
  total $0.009

openai tts-1 standard 2026-11-21T12:00:00Z
  https://developers.openai.com/api/docs/pricing
  used characters 4,096
  4,096 input_characters at $15.00 a million = $0.06144
  total $0.06144

anthropic claude-sonnet-4-5-20250929 standard 2026-11-21T12:00:00Z, writes for five minutes and for an hour, and searches
  https://www.anthropic.com/pricing#api
  used input 120,000; cache_read 80,000; cache_write 30,000; cache_write_1h 10,000; output 2,000; web_searches 3
  10,000 input at $3.00 a million = $0.03
  80,000 cache_read at $0.30 a million = $0.024
  20,000 cache_write_5m at $3.75 a million = $0.075
  10,000 cache_write_1h at $6.00 a million = $0.06
  2,000 output at $15.00 a million = $0.03
  3 web_searches at $10.00 a thousand = $0.03
  total $0.249

anthropic claude-sonnet-4-5 standard 2026-11-21T12:00:00Z, long context, by the whole prompt with what is cached
  https://www.anthropic.com/pricing#api
  used input 250,000; cache_read 100,000; cache_write 50,000; output 1,000
  100,000 input at $6.00 a million = $0.60
  100,000 cache_read at $0.60 a million = $0.06
  50,000 cache_write_5m at $7.50 a million = $0.375
  1,000 output at $22.50 a million = $0.0225
  total $1.0575

anthropic claude-sonnet-4-5 standard 2026-11-21T12:00:00Z, 200,000 tokens are no long context
  https://www.anthropic.com/pricing#api
  used input 200,000; cache_read 150,000; output 1,000
  50,000 input at $3.00 a million = $0.15
  150,000 cache_read at $0.30 a million = $0.045
  1,000 output at $15.00 a million = $0.015
  total $0.21

anthropic claude-opus-4-5 batch 2026-11-21T12:00:00Z
  https://www.anthropic.com/pricing#api
  used input 100,000; cache_write 40,000; cache_write_1h 40,000; output 10,000
  60,000 input at $2.50 a million = $0.15
  40,000 cache_write_1h at $5.00 a million = $0.20
  10,000 output at $12.50 a million = $0.125
  total $0.475

anthropic claude-opus-4-6 standard 2026-03-12T23:59:59Z, long context costs more
  https://www.anthropic.com/pricing#api
  used input 250,000; output 1,000
  250,000 input at $10.00 a million = $2.50
  1,000 output at $37.50 a million = $0.0375
  total $2.5375

anthropic claude-opus-4-6 standard 2026-03-13T00:00:00Z, and no longer does
  https://www.anthropic.com/pricing#api
  used input 250,000; output 1,000
  250,000 input at $5.00 a million = $1.25
  1,000 output at $25.00 a million = $0.025
  total $1.275

gcp.gemini gemini-2.5-pro standard 2026-11-21T12:00:00Z, a prompt beyond 200,000 tokens, and grounding
  https://ai.google.dev/gemini-api/docs/pricing
  used input 250,000; cache_read 50,000; output 10,000; reasoning 7,000; web_searches 2
  200,000 input at $2.50 a million = $0.50
  50,000 cache_read at $0.25 a million = $0.0125
  10,000 output at $15.00 a million = $0.15
  2 web_searches at $35.00 a thousand = $0.07
  total $0.7325

gcp.gemini gemini-2.5-pro batch 2026-11-21T12:00:00Z, where the cache stays at the standard rate
  https://ai.google.dev/gemini-api/docs/pricing
  used input 100,000; cache_read 40,000; output 10,000
  60,000 input at $0.625 a million = $0.0375
  40,000 cache_read at $0.125 a million = $0.005
  10,000 output at $5.00 a million = $0.05
  total $0.0925

gcp.vertex_ai models/gemini-2.5-flash standard 2026-11-21T12:00:00Z, audio in
  https://ai.google.dev/gemini-api/docs/pricing
  used input 10,000; audio_input 4,000; output 1,000
  6,000 input at $0.30 a million = $0.0018
  4,000 audio_input at $1.00 a million = $0.004
  1,000 output at $2.50 a million = $0.0025
  total $0.0083

gcp.gemini gemini-2.5-flash-image standard 2026-11-21T12:00:00Z, a picture
  https://ai.google.dev/gemini-api/docs/pricing
  used input 300; output 1,290; output_image_tokens 1,290
  300 input at $0.30 a million = $0.00009
  1,290 image_output at $30.00 a million = $0.0387
  total $0.03879

gcp.gemini gemini-embedding-001 standard 2026-11-21T12:00:00Z
  https://ai.google.dev/gemini-api/docs/pricing
  used input 2,048
  2,048 input at $0.15 a million = $0.0003072
  total $0.0003072

aws.bedrock anthropic.claude-sonnet-4-5-20250929-v1:0 standard 2026-11-21T12:00:00Z, in one region
  https://aws.amazon.com/bedrock/pricing/
  used input 100,000; cache_read 90,000; output 1,000
  10,000 input at $3.30 a million = $0.033
  90,000 cache_read at $0.33 a million = $0.0297
  1,000 output at $16.50 a million = $0.0165
  total $0.0792

aws.bedrock arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0 standard 2026-11-21T12:00:00Z
  https://aws.amazon.com/bedrock/pricing/
  used input 100,000; cache_read 90,000; output 1,000
  10,000 input at $3.30 a million = $0.033
  90,000 cache_read at $0.33 a million = $0.0297
  1,000 output at $16.50 a million = $0.0165
  total $0.0792

aws.bedrock global.anthropic.claude-sonnet-4-5-20250929-v1:0 standard 2026-11-21T12:00:00Z, wherever there is room
  https://aws.amazon.com/bedrock/pricing/
  used input 100,000; cache_write 50,000; cache_write_1h 20,000; output 1,000
  50,000 input at $3.00 a million = $0.15
  30,000 cache_write_5m at $3.75 a million = $0.1125
  20,000 cache_write_1h at $6.00 a million = $0.12
  1,000 output at $15.00 a million = $0.015
  total $0.3975

aws.bedrock us.amazon.nova-pro-v1:0 standard 2026-11-21T12:00:00Z
  https://aws.amazon.com/bedrock/pricing/
  used input 20,000; cache_read 15,000; output 500
  5,000 input at $0.80 a million = $0.004
  15,000 cache_read at $0.20 a million = $0.003
  500 output at $3.20 a million = $0.0016
  total $0.0086

azure.ai.openai azure/gpt-4o-2024-08-06 standard 2026-11-21T12:00:00Z, resold at OpenAI's prices
  https://developers.openai.com/api/docs/pricing
  used input 1,000; cache_read 400; output 100
  600 input at $2.50 a million = $0.0015
  400 cache_read at $1.25 a million = $0.0005
  100 output at $10.00 a million = $0.001
  total $0.003

azure.ai.openai text-embedding-3-large standard 2026-11-21T12:00:00Z
  https://azure.microsoft.com/en-us/pricing/details/cognitive-services/openai-service/#pricing
  used input 1,000
  1,000 input at $0.13 a million = $0.00013
  total $0.00013

perplexity sonar-pro standard 2026-11-21T12:00:00Z, with a fee for the request
  https://docs.perplexity.ai/docs/getting-started/pricing
  used input 100; output 500
  100 input at $3.00 a million = $0.0003
  500 output at $15.00 a million = $0.0075
  1 requests at $14.00 a thousand = $0.014
  total $0.0218

deepseek deepseek-chat standard 2026-11-21T16:29:59Z, by day
  https://api-docs.deepseek.com/quick_start/pricing
  used input 1,000,000; cache_read 500,000; output 100,000
  500,000 input at $0.27 a million = $0.135
  500,000 cache_read at $0.07 a million = $0.035
  100,000 output at $1.10 a million = $0.11
  total $0.28

deepseek deepseek-chat standard 2026-11-21T16:30:00Z, by night
  https://api-docs.deepseek.com/quick_start/pricing
  used input 1,000,000; cache_read 500,000; output 100,000
  500,000 input at $0.135 a million = $0.0675
  500,000 cache_read at $0.035 a million = $0.0175
  100,000 output at $0.55 a million = $0.055
  total $0.14

groq whisper-large-v3 standard 2026-11-21T12:00:00Z, a second of which has no exact price
  https://console.groq.com/docs/models
  used seconds 7,200
  7,200 audio_seconds at $0.111 an hour = $0.222
  total $0.222
";

fn count(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap()
}

fn money(text: &str) -> Decimal {
    text.strip_prefix('$').unwrap_or_else(|| panic!("{text} is no money")).parse().unwrap()
}

/// `input 1,000; web_searches 3`: token classes by name, everything else as units.
fn usage(text: &str) -> Usage {
    let mut usage = Usage::default();
    for (name, quantity) in text.split("; ").map(|part| part.split_once(' ').unwrap()) {
        match TokenClass::ALL.into_iter().find(|class| class.name().trim_end_matches("_tokens") == name) {
            Some(class) => usage.set(class, Some(count(quantity))),
            None => drop(usage.units.insert(name.into(), count(quantity))),
        }
    }
    usage
}

/// How many units a price is for, in the words of price lists.
fn units_of(words: &str) -> Decimal {
    let units = match words {
        "a million" => 1_000_000,
        "a thousand" => 1_000,
        "an hour" => 3_600,
        other => panic!("{other} is no amount of units"),
    };
    Decimal::from(units)
}

/// The pages that the bundled data names for the provider of a price.
fn pages(data: &serde_json::Value, provider: &str) -> Vec<String> {
    let list = data.as_array().unwrap().iter().find(|list| list["id"] == provider).unwrap();
    let pages = list["pricing_urls"].as_array().unwrap().iter();
    pages.map(|page| page.as_str().unwrap().to_string()).collect()
}

#[test]
fn a_call_is_billed_as_its_provider_bills_it_line_by_line() {
    let data: serde_json::Value =
        serde_json::from_slice(include_bytes!("../data/genai-prices.json")).unwrap();
    let book = billing::prices::bundled();
    let cases: Vec<&str> = INVOICES.trim().split("\n\n").collect();
    assert!(cases.len() >= 35, "{}", cases.len());
    for case in cases {
        let lines: Vec<&str> = case.lines().map(str::trim).collect();
        let [head, page, used, stated @ .., total] = lines.as_slice() else { panic!("{case}") };
        let [provider, model, how, at] = head.split(", ").next().unwrap().split(' ').collect::<Vec<_>>()[..]
        else {
            panic!("{head}")
        };
        let context = match how {
            "standard" => Context::default(),
            "batch" => Context { batch: true, ..Context::default() },
            tier => Context { service_tier: Some(tier), ..Context::default() },
        };
        let at: DateTime<Utc> = at.parse().unwrap();
        let at = EventTime::from_nanos(at.timestamp_nanos_opt().unwrap());
        // Spelled as the field spells it; the decoder takes gateways' and vendors' prefixes off.
        let model = naming::model(model).unwrap();
        let found =
            book.find(provider, model, at, &context).unwrap_or_else(|error| panic!("{head}: {error}"));
        let cited = pages(&data, &found.card.provider);
        assert!(cited.iter().any(|known| known == page), "{head}: {page} is none of {cited:?}");

        let rated = rate(&usage(used.strip_prefix("used ").unwrap()), found.card).unwrap();
        let mut sum = Decimal::ZERO;
        let mut expected = Vec::new();
        for line in stated {
            let (worked, amount) = line.split_once(" = ").unwrap();
            let (units, price) = worked.split_once(" at ").unwrap();
            let (quantity, unit) = units.split_once(' ').unwrap();
            let (price, words) = price.split_once(' ').unwrap();
            let unit = UnitClass::named(unit).unwrap();
            let (quantity, price, amount) = (count(quantity), money(price), money(amount));
            assert_eq!(Decimal::from(quantity) * price, amount * units_of(words), "by hand: {line}");
            let bundled = found.card.rates.covering(unit).unwrap();
            let prompt = usage(used.strip_prefix("used ").unwrap()).get(TokenClass::Input).unwrap_or(0);
            // Where the quotient has no end (a second at the price of an hour), eighteen decimals of it are kept.
            let per_unit = (price / units_of(words)).round_dp(18).normalize();
            assert_eq!(bundled.unit_price(prompt).0.normalize(), per_unit, "{head}: the price of {unit}");
            sum += amount;
            expected.push((unit, quantity, amount));
        }
        assert_eq!(sum, money(total.strip_prefix("total ").unwrap()), "by hand: {head}");
        let decimal = |cost: domain::Cost| cost.to_string().parse::<Decimal>().unwrap().normalize();
        let billed: Vec<(UnitClass, u64, Decimal)> =
            rated.lines.iter().map(|line| (line.unit.class, line.quantity, decimal(line.cost))).collect();
        let normal =
            |(unit, quantity, amount): (UnitClass, u64, Decimal)| (unit, quantity, amount.normalize());
        let mut expected: Vec<_> = expected.into_iter().map(normal).collect();
        expected.sort_by_key(|(unit, ..)| *unit);
        assert_eq!(billed, expected, "{head}");
        assert_eq!(decimal(rated.cost), sum.normalize(), "{head}");
    }
}
