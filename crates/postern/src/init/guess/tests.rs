use super::*;

fn check(name: &str, about: About, values: &[&str], expected: Option<(FieldClass, Sure)>) {
    let sample = values.iter().map(|value| (*value).to_owned()).collect();
    let column = Column { name: name.to_owned(), text: true, sample, ..Column::default() };
    let guess = guess(&column, about).map(|guess| (guess.class, guess.sure));
    assert_eq!(guess, expected, "{name} {values:?}");
}

#[test]
fn a_name_and_a_shape_that_agree_are_certain() {
    let certain = |name, values, class| {
        check(name, About::People, values, Some((class, Sure::Certain)));
    };
    certain("email", &["ada@example.com", "b.c+d@mail.example.org"], FieldClass::Email);
    certain("customerPhone", &["+49 30 901820", "(030) 90-18-20"], FieldClass::Phone);
    certain("name", &["Ada Lovelace", "Grace B. Hopper"], FieldClass::Name);
    certain("billing_address", &["12 High Street, Leeds", "Hauptstraße 5"], FieldClass::Address);
    certain("iban", &["DE89 3704 0044 0532 0130 00"], FieldClass::Identifier);
    certain("notes", &["called twice about the refund, was upset"], FieldClass::FreeText);
}

#[test]
fn a_telling_shape_is_enough_to_be_likely() {
    let likely = |values, class| {
        check("col7", About::Other, values, Some((class, Sure::Likely)));
    };
    likely(&["ada@example.com"], FieldClass::Email);
    likely(&["4111 1111 1111 1111"], FieldClass::Identifier);
    likely(&["078-05-1120"], FieldClass::Identifier);
    likely(&["+44 20 7946 0018"], FieldClass::Phone);
}

#[test]
fn a_name_that_the_values_do_not_bear_out_is_only_possible() {
    check("email", About::People, &["yes", "no"], Some((FieldClass::Email, Sure::Possible)));
    check("phone", About::People, &["android", "ios"], Some((FieldClass::Phone, Sure::Possible)));
    check("city", About::People, &["Leeds"], Some((FieldClass::Address, Sure::Possible)));
}

#[test]
fn a_secret_is_known_by_its_name() {
    let check_secret = |name| {
        check(name, About::Other, &["$2b$12$x"], Some((FieldClass::Secret, Sure::Certain)));
    };
    check_secret("password_hash");
    check_secret("apiKey");
}

#[test]
fn a_table_of_tickets_has_case_numbers_and_subjects() {
    let case = Some((FieldClass::CaseNumber, Sure::Likely));
    check("number", About::of("support_tickets"), &["T-100001"], case);
    check("number", About::of("houses"), &["T-100001"], None);
    let subject = Some((FieldClass::FreeText, Sure::Likely));
    check("subject", About::of("tickets"), &["Refund"], subject);
}

#[test]
fn what_is_not_personal_is_left_alone() {
    let none = |name, values| check(name, About::Other, values, None);
    none("sku", &["A-1000-22"]);
    none("created", &["2024-01-02", "2024-01-03"]);
    none("plan", &["free", "pro"]);
    none("name", &["gold", "silver"]);
    none("ip_address", &["10.0.0.1"]);
    none("amount", &["12345678"]);
    none("filler", &["", ""]);
    none("card_like", &["4111111111111112"]);
}

#[test]
fn names_fall_into_words() {
    let check = |name, expected: &[&str]| assert_eq!(words(name), expected, "{name}");
    check("customerEmail_2", &["customer", "email", "2"]);
    check("E-MAIL", &["e", "mail"]);
    check("SSN", &["ssn"]);
    check("", &[]);
}
