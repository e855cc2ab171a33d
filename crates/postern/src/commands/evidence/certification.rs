//! A form for whoever testifies that the evidence is what it says: `certification.txt`.
//!
//! It follows what a certification of records that an electronic process made, and of data that was
//! copied and identified by its digest, has to state (Federal Rules of Evidence 902(13), (14) with
//! 902(11)). Whether it does elsewhere is for counsel.

use super::Case;

/// The form, with what the program knows filled in. The digest of the manifest, which names all
/// parts, is to be filled in by who signs: they compute it of what they have before them.
pub(super) fn form(case: &Case, ledger: &str) -> String {
    let accounts: Vec<&str> = case.accounts.iter().map(|(account, ..)| account.as_str()).collect();
    let since = case.since.map_or_else(|| "the beginning".to_owned(), |since| since.to_string());
    let plural = if accounts.len() == 1 { "" } else { "s" };
    let accounts = accounts.join(", ");
    let (until, entries) = (case.until, case.entries);
    format!(
        "CERTIFICATION OF RECORDS MADE BY AN ELECTRONIC PROCESS
(a template: have counsel adapt it to the court before anybody signs it)

1. I, ______________________________, am employed by ____________________________
   as ______________________________. I am qualified to make this certification
   because ______________________________________________________________________.

2. The records in the folder `proofs` were made by Postern, a gateway in front of a
   database, which writes into its ledger `{ledger}`
   what an account is shown, before it is shown. This was done in the regular course
   of business, at the time of each access, by a process that ran as it was made to
   run: yes / no, except _______________________________________________________.

3. They are all entries of the account{plural} {accounts}
   from {since} to {until}, of a ledger of {entries} entries.

4. On ____________ I computed the SHA-256 of `manifest.dsse.json` in the copy before
   me: ________________________________________________________________.
   It names every other part with its SHA-256. The copy was checked with the program
   `verifier`, whose answer was: _________________________________________________.

5. The ledger's key, with which the manifest is signed, was known to me before from
   _____________________________________________________________________________.

6. What can not be checked with the copy alone is said in `index.html`.

I declare under penalty of perjury that the foregoing is true and correct.

Date: ____________   Place: ____________________   Signature: ____________________
"
    )
}
