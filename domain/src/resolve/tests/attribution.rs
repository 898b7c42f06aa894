//! Which copy of a span counts, and whom a call is for.

use super::*;

#[test]
fn of_copies_of_a_span_the_one_with_the_payers_key_counts_whichever_came_first() {
    let copies = spans(
        "a r call x 0-10 in=5 out=2 cr=1
         a r call x 0-10 in=5 out=2 key=k",
    );
    for evidence in [copies.clone(), copies.into_iter().rev().collect()] {
        assert_eq!(shown(&resolve(&evidence, &Rules::default())), ["a:call 5>2 k/key"]);
    }
}

#[test]
fn the_tenant_is_read_in_the_order_key_span_duplicate_ancestor_resource() {
    let table = [
        ("a r call x 0-10 in=5 out=2 tenant=s key=k resource=o", "k/key"),
        ("a r call x 0-10 in=5 out=2 tenant=s resource=o", "s/span"),
        ("a r call x 0-10 in=5 out=2 id=1 | b r call y 0-10 in=5 out=2 tenant=d", "d/duplicate"),
        (
            "r - who app 0-100 tenant=p | m r link - 1-99 | a m call x 2-10 in=5 out=2 resource=o",
            "p/ancestor",
        ),
        (
            "r - who app 0-100 tenant=p | n r who app 1-99 tenant=near | a n call x 2-10 in=5 out=2",
            "near/ancestor",
        ),
        ("r - who app 0-100 tenant=p | a gone call x 2-10 in=5 out=2", "p/enclosing"),
        ("r - who app 0-100 tenant=p | m gone link - 1-150 | a m call x 2-10 in=5 out=2", "p/enclosing"),
        (
            "r - who app 0-100 tenant=p | s - link - 0-9 | m gone link - 1-150 | a m call x 2-10 in=5 out=2",
            "/",
        ),
        ("a r call x 0-10 in=5 out=2 resource=o", "o/resource"),
    ];
    for (case, tenant) in table {
        let evidence = spans(&case.replace('|', "\n"));
        let resolution = resolve(&evidence, &Rules::default());
        let call = &resolution.calls[0];
        let read =
            format!("{}/{}", call.dimensions.tenant.as_deref().unwrap_or(""), call.tenant_source.name());
        assert_eq!(read, tenant, "{case}");
    }
}

#[test]
fn a_call_is_for_whom_it_was_made_not_for_who_fetches_its_answer() {
    check(
        "s/p - who app 0-20 tenant=acme
         s/a p call x 1-10 id=1
         t/q - who app 500-520 tenant=globex
         t/b q call x 501-510 in=5 out=2 id=1",
        &["b+a:response-id 5>2 acme/ancestor"],
    );
    // One instrumentation leaves its span open until another trace fetched the answer.
    check(
        "s/p - who app 0-20 tenant=acme
         s/a p call x 1-510 in=5 out=2 id=1
         s/b p call y 1-19 id=1
         t/q - who app 20-520 tenant=globex
         t/c q call y 20-510 in=5 out=2 id=1",
        &["a+b+c:response-id 5>2 acme/ancestor"],
    );
    // Where nobody says for whom it was made, who fetches it is better than nobody.
    check(
        "s/a - call x 1-10 id=1
         t/b - call x 501-510 in=5 out=2 id=1 tenant=globex",
        &["b+a:response-id 5>2 globex/span"],
    );
}
