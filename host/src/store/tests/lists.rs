use super::*;

fn ids(slice: &Slice<Document>) -> Vec<DocumentId> {
    slice.items.iter().map(|document| document.id).collect()
}

#[test]
fn documents_are_paged_in_order_over_all_collections() {
    let (_dir, store) = temporary();
    let owner = user("u");
    let all: Vec<_> = (0..10u8)
        .map(|byte| submit(&store, &key("u", ["a", "b", "c"][byte as usize % 3]), &[byte]).document.id)
        .collect();
    submit(&store, &key("v", "a"), &[1]);
    for descending in [false, true] {
        let mut expected = all.clone();
        if descending {
            expected.reverse();
        }
        let (mut seen, mut query) =
            (Vec::new(), DocumentQuery { descending, limit: 3, ..Default::default() });
        loop {
            let page = store.documents(&owner, &query).unwrap();
            seen.extend(ids(&page));
            query.after = seen.last().copied();
            if !page.more {
                break;
            }
            assert_eq!(page.items.len(), 3);
        }
        assert_eq!(seen, expected);
    }
}

#[test]
fn conditions_of_a_list_must_all_hold() {
    let (_dir, store) = temporary();
    let home = key("u", "a");
    let first = submit(&store, &home, b"1").document;
    work_off(&store, 1);
    let named = NewDocument { filename: "b.md".into(), tags: vec![], ..upload(&store, &home, b"2") };
    let second = store.submit(vec![named], QUEUE_MAX).unwrap().remove(0).document;
    let third = NewDocument {
        filename: "error.md".into(),
        tags: vec!["Überschrift".into()],
        path: Some("docs/error.md".into()),
        ..upload(&store, &home, b"3")
    };
    let third = store.submit(vec![third], QUEUE_MAX).unwrap().remove(0).document;
    assert_eq!(first.tags, ["t", "u"]);
    let list = |change: fn(&mut DocumentQuery)| {
        let mut query = DocumentQuery { limit: 10, ..Default::default() };
        change(&mut query);
        ids(&store.documents(&home.owner, &query).unwrap())
    };
    assert_eq!(list(|query| query.status = Some(Stage::Ready)), [first.id]);
    assert_eq!(list(|query| query.status = Some(Stage::Queued)), [second.id, third.id]);
    assert_eq!(list(|query| query.status = Some(Stage::Failed)), []);
    assert_eq!(list(|query| query.tag = Some("Überschrift".into())), [third.id]);
    // Only in a longer one, or elsewhere.
    assert_eq!(list(|query| query.tag = Some("schrift".into())), []);
    assert_eq!(list(|query| query.tag = Some("error.md".into())), []);
    assert_eq!(list(|query| query.path = Some("docs/error.md".into())), [third.id]);
    assert_eq!(list(|query| query.path = Some("error.md".into())), []);
    let copy = NewDocument { path: Some("docs/copy.md".into()), ..upload(&store, &home, b"3") };
    assert!(store.submit(vec![copy], QUEUE_MAX).unwrap()[0].duplicate);
    for descending in [false, true] {
        let query =
            DocumentQuery { path: Some("docs/copy.md".into()), descending, limit: 1, ..Default::default() };
        let found = store.documents(&home.owner, &query).unwrap();
        assert_eq!((ids(&found), found.more), (vec![third.id], false));
        let behind = DocumentQuery { after: Some(third.id), ..query };
        assert!(store.documents(&home.owner, &behind).unwrap().items.is_empty());
    }
    assert_eq!(list(|query| query.tag = Some("u".into())), [first.id]);
    assert_eq!(list(|query| query.filename = Some("b.md".into())), [second.id]);
    assert_eq!(list(|query| query.file_type = Some("txt".into())), [first.id, second.id, third.id]);
    assert!(list(|query| query.listed = Listed::One(key("u", "z"))).is_empty());
    assert!(list(|query| (query.status, query.tag) = (Some(Stage::Queued), Some("u".into()))).is_empty());
    assert_eq!(store.claim().unwrap().map(|job| job.document.id), Some(second.id));
    store.fail(second.id, failure()).unwrap();
    assert_eq!(list(|query| query.status = Some(Stage::Failed)), [second.id]);
    store.reprocess(&home.owner, second.id).unwrap();
    assert_eq!(list(|query| query.status = Some(Stage::Failed)), []);
    assert_eq!(list(|query| query.status = Some(Stage::Queued)), [second.id, third.id]);
}

fn session(id: &str, owner: &str, created_at: TimestampMs) -> Session {
    Session {
        id: SessionId::new(id).unwrap(),
        user: user(owner),
        title: None,
        context: JsonMap::new(),
        created_at,
        last_active: created_at,
    }
}

#[test]
fn sessions_are_of_one_owner_and_take_their_conversations_with_them() {
    let (dir, store) = temporary();
    let sessions = [session("a", "u", 1), session("b", "u", 3), session("c", "u", 2), session("d", "v", 9)];
    sessions.iter().for_each(|session| store.create_session(session, Instant::now()).unwrap());
    assert!(matches!(store.create_session(&session("a", "v", 1), Instant::now()), Err(Error::Conflict(_))));
    let names = |slice: Slice<Session>| {
        (slice.items.iter().map(|session| session.id.to_string()).collect::<Vec<_>>(), slice.more)
    };
    assert_eq!(names(store.sessions(&user("u"), None, 2).unwrap()), (vec!["b".into(), "c".into()], true));
    let behind = store.sessions(&user("u"), Some((sessions[2].created_at, &sessions[2].id)), 2).unwrap();
    assert_eq!(names(behind), (vec!["a".into()], false));

    let changed = Session { title: Some("T".into()), last_active: 8, created_at: 77, ..sessions[0].clone() };
    store.update_session(&changed).unwrap();
    assert!(matches!(store.update_session(&session("a", "v", 1)), Err(Error::NotFound)));
    let expected = Session { created_at: 1, ..changed };
    assert_eq!(store.session(&expected.id).unwrap(), Some(expected.clone()));

    let id = ConversationId::new();
    let mut conversation = Conversation {
        id,
        user: user("u"),
        session: Some(expected.id.clone()),
        title: None,
        metadata: JsonMap::new(),
        created_at: 1,
        updated_at: 1,
    };
    assert!(matches!(store.update_conversation(&conversation), Err(Error::NotFound)), "not begun yet");
    store.begin_conversation(&conversation, &[], Instant::now()).unwrap();
    let foreign = Conversation { user: user("v"), session: None, ..conversation.clone() };
    assert!(matches!(store.update_conversation(&foreign), Err(Error::NotFound)));
    assert!(matches!(store.begin_conversation(&foreign, &[], Instant::now()), Err(Error::NotFound)));
    let message = |created_at| Message {
        id: MessageId::new(),
        role: MessageRole::User,
        content: format!("m{created_at}"),
        metadata: JsonMap::new(),
        created_at,
    };
    let messages = [message(2), message(3), message(4)];
    store.append_messages(&user("u"), id, &messages[..2]).unwrap();
    store.append_messages(&user("u"), id, &messages[2..]).unwrap();
    assert!(matches!(store.append_messages(&user("v"), id, &messages), Err(Error::NotFound)));
    assert_eq!(store.messages(&user("u"), id, 2).unwrap(), messages[1..]);
    assert!(matches!(store.messages(&user("v"), id, 2), Err(Error::NotFound)));
    conversation.updated_at = 4;
    assert_eq!(store.conversation(&user("u"), id).unwrap(), Some(conversation.clone()));
    assert_eq!(store.conversation(&user("v"), id).unwrap(), None);
    let of_session = |session: &str| {
        let session = SessionId::new(session).unwrap();
        store.conversations(&user("u"), Some(&session), None, 9).unwrap().items
    };
    assert_eq!(of_session("a"), [conversation.clone()]);
    assert_eq!(store.conversations(&user("u"), None, Some(id), 9).unwrap().items, []);
    // Moved to another session, it goes with that one.
    conversation.session = Some(sessions[1].id.clone());
    store.update_conversation(&conversation).unwrap();
    assert!(of_session("a").is_empty());

    assert!(!store.delete_session(&user("v"), &sessions[1].id).unwrap());
    assert!(store.delete_session(&user("u"), &sessions[1].id).unwrap());
    let (_copy, again) = killed(dir.path());
    assert_eq!(again.session(&sessions[1].id).unwrap(), None);
    assert_eq!(again.conversation(&user("u"), id).unwrap(), None);
    assert_eq!(again.totals().unwrap().sessions, 3);
}

#[test]
fn what_a_deleted_user_began_is_not_kept() {
    let (_dir, store) = temporary();
    let begun = Instant::now();
    let conversation = || Conversation {
        id: ConversationId::new(),
        user: user("u"),
        session: None,
        title: None,
        metadata: JsonMap::new(),
        created_at: 1,
        updated_at: 1,
    };
    let query = |at| LoggedQuery {
        id: QueryId::new(),
        user: user("u"),
        kind: QueryKind::Search,
        text: None,
        collection: None,
        at,
        took_ms: 1.0,
        results: 0,
        documents: Vec::new(),
        backend: None,
        outcome: QueryOutcome::Answered,
    };
    let session = |id: &str| Session {
        id: SessionId::new(id).unwrap(),
        user: user("u"),
        title: None,
        context: JsonMap::new(),
        created_at: 1,
        last_active: 1,
    };
    let sent = |since| NewDocument { since, ..upload(&store, &key("u", "c"), b"text") };
    let answered = || Answered { fingerprint: "f".into(), documents: Vec::new() };
    let u = user("u");
    store.begin_conversation(&conversation(), &[], begun).unwrap();
    store.set_idempotency(&u, "k", answered(), 1, begun).unwrap();
    store.delete_user(&u).unwrap();

    let gone = |result: Result<()>| assert!(matches!(result, Err(Error::NotFound)), "{result:?}");
    gone(store.begin_conversation(&conversation(), &[], begun));
    gone(store.create_session(&session("s"), begun));
    gone(store.submit(vec![sent(begun)], QUEUE_MAX).map(drop));
    gone(store.create_collection(&key("u", "d"), begun).map(drop));
    gone(store.set_idempotency(&u, "k", answered(), 1, begun));
    let later = Instant::now();
    store.log_queries(&[(query(1), begun), (query(2), later)]).unwrap();
    assert!(store.conversations(&u, None, None, 9).unwrap().items.is_empty());
    let logged = store.queries(Some(&u), None, 9).unwrap().items;
    assert_eq!(logged.iter().map(|query| query.at).collect::<Vec<_>>(), [2]);
    assert_eq!(store.idempotency(&u, "k").unwrap(), None);
    assert!(store.collections(Some(&u)).unwrap().is_empty());

    // Another one of that name.
    store.begin_conversation(&conversation(), &[], later).unwrap();
    store.create_session(&session("s"), later).unwrap();
    store.submit(vec![sent(later)], QUEUE_MAX).unwrap();
}

#[test]
fn whoever_left_something_is_listed_and_can_be_deleted() {
    let (_dir, store) = temporary();
    let asked = |name: &str| LoggedQuery {
        id: QueryId::new(),
        user: user(name),
        kind: QueryKind::Search,
        text: None,
        collection: None,
        at: 1,
        took_ms: 1.0,
        results: 0,
        documents: Vec::new(),
        backend: None,
        outcome: QueryOutcome::Answered,
    };
    let queries = ["ann", "bob", "ann", "bo"].map(|name| (asked(name), Instant::now()));
    store.log_queries(&queries).unwrap();
    let conversation = Conversation {
        id: ConversationId::new(),
        user: user("eve"),
        session: None,
        title: None,
        metadata: JsonMap::new(),
        created_at: 1,
        updated_at: 1,
    };
    store.begin_conversation(&conversation, &[], Instant::now()).unwrap();
    let names = |store: &Store| {
        let users = store.users(None, 9).unwrap().items.into_iter();
        users.map(|user| (user.id.to_string(), user.conversations)).collect::<Vec<_>>()
    };
    let all = [("ann", 0), ("bo", 0), ("bob", 0), ("eve", 1)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(names(&store), all);
    for (name, _) in all {
        assert!(store.delete_user(&user(&name)).unwrap());
    }
    assert_eq!(names(&store), []);
}

#[test]
fn an_idempotency_key_is_the_owners_and_lasts_a_day() {
    let (_dir, store) = temporary();
    let id = DocumentId::new();
    let day = 24 * 60 * 60 * 1000;
    let answered = |fingerprint: &str, documents: &[(DocumentId, bool)]| Answered {
        fingerprint: fingerprint.into(),
        documents: documents.to_vec(),
    };
    let both = [(id, false), (DocumentId::new(), true)];
    store.set_idempotency(&user("u"), "k", answered("f", &both), 1000, Instant::now()).unwrap();
    assert_eq!(store.idempotency(&user("u"), "k").unwrap(), Some(answered("f", &both)));
    assert_eq!(store.idempotency(&user("v"), "k").unwrap(), None);
    store.set_idempotency(&user("u"), "other", answered("f", &[]), 1000 + day, Instant::now()).unwrap();
    assert!(store.idempotency(&user("u"), "k").unwrap().is_some());
    store.set_idempotency(&user("u"), "other", answered("g", &[]), 1001 + day, Instant::now()).unwrap();
    assert!(store.idempotency(&user("u"), "k").unwrap().is_none());
    assert_eq!(store.idempotency(&user("u"), "other").unwrap(), Some(answered("g", &[])));
}
