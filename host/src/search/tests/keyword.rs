//! Prefixes, typos, compounds and marks.

use proptest::prelude::*;

use super::*;

fn typos(text: &str) -> SearchQuery {
    SearchQuery { typo_tolerance: true, ..query(text) }
}

/// What is marked in a text.
fn marked(search: &Search, query: &SearchQuery, text: &str, language: Option<&str>) -> Vec<String> {
    let marks = search.marker(ID, query).unwrap().marks(text, language);
    let chars: Vec<char> = text.chars().collect();
    marks.into_iter().map(|mark| chars[mark].iter().collect()).collect()
}

#[test]
fn a_star_finds_all_words_that_begin_so() {
    let (_directory, search) = collection(&[
        put(1, "Die Häuser am Fluss", Some("de")),
        put(2, "Häuserfronten in der Stadt", Some("de")),
        put(3, "Das Haus am See", Some("de")),
        put(4, "She was running home", Some("en")),
        put(5, "東京都の家", Some("ja")),
    ]);
    let sorted = |text: &str| {
        let mut found = found(&search, &query(text));
        found.sort();
        found
    };
    assert_eq!(sorted("häuser*"), [1, 2].map(document_id));
    assert_eq!(sorted("HÄUSERF*"), [2].map(document_id));
    assert_eq!(sorted("runn*"), [4].map(document_id));
    assert_eq!(sorted("h*"), [1, 2, 3, 4].map(document_id));
    assert_eq!(sorted("東京*"), [5].map(document_id));
    assert_eq!(found(&search, &query("häu* stadt"))[0], document_id(2));
    assert_eq!(sorted("häu* \"am Fluss\""), [1].map(document_id));
    assert!(sorted("xyz*").is_empty() && sorted("*").is_empty());
    search.apply(ID, &[Change::Delete(document_id(1))], 2).unwrap();
    assert_eq!(sorted("häuser*"), [2].map(document_id));
}

#[test]
fn typos_are_forgiven_where_asked_for() {
    let (_directory, search) = collection(&[
        put(1, "Die Versicherungen zahlen", Some("de")),
        put(2, "Die Verzicherung zahlt", Some("de")),
        put(3, "The receiver works", Some("en")),
        put(4, "Raum 2024", None),
    ]);
    assert!(found(&search, &query("reciever")).is_empty());
    assert_eq!(found(&search, &typos("reciever")), [document_id(3)]);
    // Two edits from the singular, which the collection does not have: the stem is what counts.
    assert_eq!(found(&search, &typos("Versichrungem")), [document_id(1)]);
    assert_eq!(found(&search, &typos("Versicherungen")), [document_id(1)]);
    assert_eq!(found(&search, &typos("Verzicherung"))[0], document_id(2));
    assert!(found(&search, &typos("2025")).is_empty(), "a number is not mistyped");
    assert!(found(&search, &typos("rau")).is_empty(), "a short word is taken as it is");
}

#[test]
fn the_same_query_has_the_same_scores_each_time() {
    let words = ["table", "of", "stanley", "cups", "and", "other", "prizes", "won"];
    let texts = (1..60).map(|number| {
        let text: Vec<&str> =
            (0..number as usize % 9 + 2).map(|at| words[(at * number as usize) % 8]).collect();
        put(number, &text.join(" "), Some("en"))
    });
    let (_directory, search) = collection(&texts.collect::<Vec<_>>());
    let scores = || {
        let hits = search.search(ID, &typos("table of stanley cups and other prizes")).unwrap().hits;
        hits.iter().map(|hit| (hit.chunk, hit.scores.keyword.unwrap().to_bits())).collect::<Vec<_>>()
    };
    let first = scores();
    assert!((0..50).all(|_| scores() == first));
}

#[test]
fn the_original_spelling_scores_higher() {
    let others = (10..40).map(|number| put(number, "some other thing here", Some("en")));
    let changes = [put(1, "the planet", Some("en")), put(2, "the planes", Some("en"))];
    let (_directory, search) = collection(&changes.into_iter().chain(others).collect::<Vec<_>>());
    let hits = search.search(ID, &typos("planet")).unwrap().hits;
    let scores: Vec<_> = hits.iter().map(|hit| (hit.chunk.document, hit.scores.keyword.unwrap())).collect();
    assert_eq!(scores[0].0, document_id(1));
    assert_eq!(scores[1].0, document_id(2));
    assert!(scores[1].1 <= 0.5 * scores[0].1, "{scores:?}");
    let exact = search.search(ID, &query("planet")).unwrap().hits[0].scores.keyword;
    assert_eq!(exact, Some(scores[0].1), "tolerance does not change the score of the word itself");
}

#[test]
fn parts_of_a_german_compound_are_found() {
    let (_directory, search) = collection(&[
        put(1, "Das Handbuch zur Wartung", Some("de")),
        put(2, "Ein Wartungshandbuch", Some("de")),
        put(3, "Eine Wartung", Some("de")),
        put(4, "Das Meer", Some("de")),
    ]);
    assert_eq!(found(&search, &query("Wartungshandbuch")), [2, 1, 3].map(document_id));
    let english: Vec<_> = (10..40).map(|number| put(number, "wind mill words", Some("en"))).collect();
    let stray = [put(1, "Wind und Mühle", Some("de")), put(2, "Windmühle", Some("de"))];
    let (_directory, search) = collection(&[english, stray.to_vec()].concat());
    assert_eq!(found(&search, &query("Windmühle")), [document_id(2)], "German is not at home here");
}

#[test]
fn marks_stand_where_the_words_are() {
    let text = "Größere Häuser: das Wartungshandbuch, die Wartung und der Garten";
    let (_directory, search) = collection(&[
        put(1, text, Some("de")),
        put(2, "a house of cards", Some("en")),
        put(3, "京都府", None),
    ]);
    let of = |query: &SearchQuery| marked(&search, query, text, Some("de"));
    assert_eq!(of(&query("Haus")), ["Häuser"]);
    assert_eq!(of(&query("wartung* die")), ["Wartungshandbuch", "Wartung"]);
    assert_eq!(of(&query("\"der Garten\"")), ["Garten"]);
    assert_eq!(of(&query("groß das und")), ["Größere"], "stop words are not looked for");
    assert_eq!(of(&query("Gatren")), [""; 0]);
    assert_eq!(of(&typos("Gatren")), ["Garten"]);
    assert_eq!(marked(&search, &query("houses"), "a house of cards", Some("en")), ["house"]);
    assert_eq!(marked(&search, &query("京都"), "x京都府", None), ["京都"]);
    assert_eq!(marked(&search, &query("Haus"), "Ha\u{308}user", Some("de")), [""; 0], "not NFC");
    let nowhere = Search::marker(&search, CollectionId(8), &query("Haus")).unwrap();
    assert!(nowhere.marks(text, Some("de")).is_empty());
}

const PIECES: [&str; 11] =
    ["häuser", "Haus", "houses", "The", "gartenhaus", "gar*", "\"das Haus\"", "*", "\"", "東京", "12"];

fn typed() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(&PIECES[..]).prop_map(str::to_owned),
        1 => "\\PC{0,6}",
        1 => any::<String>(),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_query_fails_and_marks_lie_on_words_of_the_query(asked in typed(), text in typed(), typo_tolerance: bool) {
        let text = crate::text::nfc(&text).into_owned();
        for language in [Some("de"), Some("en"), None] {
            let (_directory, search) = collection(&[put(1, &text, language), put(2, "Haus garten", Some("de"))]);
            let query = SearchQuery { typo_tolerance, ..query(&asked) };
            let hits = search.search(ID, &query).unwrap().hits;
            let marker = search.marker(ID, &query).unwrap();
            let chars: Vec<char> = text.chars().collect();
            let marks = marker.marks(&text, language);
            prop_assert!(marks.windows(2).all(|pair| pair[0].end <= pair[1].start));
            for mark in &marks {
                prop_assert!(mark.start < mark.end && mark.end <= chars.len());
                let word: String = chars[mark.clone()].iter().collect();
                let whole = 0..word.chars().count();
                prop_assert_eq!(marker.marks(&word, language), vec![whole], "{:?}", word);
            }
            let is_found = hits.iter().any(|hit| hit.chunk.document == document_id(1));
            prop_assert!(!is_found || !marks.is_empty(), "found by words that are not marked: {:?}", text);
        }
    }
}

/// BM25 of each text, by definition.
fn bm25(texts: &[Vec<u8>], asked: &[u8]) -> Vec<f32> {
    let rows = texts.len() as f32;
    let mean = texts.iter().map(Vec::len).sum::<usize>() as f32 / rows;
    let count = |text: &[u8], word: u8| text.iter().filter(|other| **other == word).count() as f32;
    let score = |text: &Vec<u8>| {
        let of_word = |word: &u8| {
            let having = texts.iter().filter(|text| text.contains(word)).count() as f32;
            let rarity = (1.0 + (rows - having + 0.5) / (having + 0.5)).ln();
            let often = count(text, *word);
            rarity * 2.2 * often / (often + 1.2 * (0.25 + 0.75 * text.len() as f32 / mean))
        };
        asked.iter().map(of_word).sum()
    };
    texts.iter().map(score).collect()
}

fn spoken(words: &[u8]) -> String {
    words.iter().map(|word| format!("w{word} ")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Also where rows that can't be among the best are passed over.
    #[test]
    fn the_best_rows_have_the_scores_of_bm25(
        // Low words are frequent.
        texts in proptest::collection::vec(
            proptest::collection::vec((0u8..12, 0u8..12).prop_map(|(a, b)| a.min(b)), 1..30), 1..120),
        asked in proptest::collection::vec(0u8..12, 1..8), limit in 1usize..12, portion in 1usize..60,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let search = Search::open(directory.path()).unwrap();
        let changes: Vec<_> =
            texts.iter().zip(1..).map(|(text, number)| put(number, &spoken(text), None)).collect();
        for (seq, changes) in (1..).zip(changes.chunks(portion)) {
            search.apply(ID, changes, seq).unwrap();
        }
        let query = SearchQuery { limit, mode: SearchMode::Keyword, ..query(&spoken(&asked)) };
        let hits = search.search(ID, &query).unwrap().hits;
        let scores = bm25(&texts, &asked);
        let mut best: Vec<f32> = scores.iter().copied().filter(|score| *score > 0.0).collect();
        best.sort_by(|a, b| b.total_cmp(a));
        best.truncate(limit);
        prop_assert_eq!(hits.len(), best.len());
        for (hit, best) in hits.iter().zip(best) {
            let found = hit.scores.keyword.unwrap();
            let number = texts.iter().zip(1..).position(|(_, number)| hit.chunk.document == document_id(number));
            prop_assert!((found - best).abs() < 1e-4 * best, "{} is not {}", found, best);
            prop_assert!((found - scores[number.unwrap()]).abs() < 1e-4 * best);
        }
    }
}
