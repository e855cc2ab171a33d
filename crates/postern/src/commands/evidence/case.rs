//! What programs that exchange cases read: `case.jsonld`, in CASE 1.x over UCO 1.4 or later
//! (<https://caseontology.org>). It says which files there are with which digests, which accounts
//! they are about, and who did what with them.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Case, analysis::Custody, bundle::Bundle, document::Document};

/// The parts that are in the bundle now, and what was done until now, as a graph.
pub(super) fn graph(
    case: &Case,
    (bundle, custody): (&Bundle, &Custody<'_>),
    page: &Document,
) -> anyhow::Result<Vec<u8>> {
    let ids = Ids::of(bundle);
    let tool = json!({
        "@id": ids.of_part("tool", ""),
        "@type": "uco-tool:Tool",
        "uco-core:name": "Postern",
        "uco-tool:toolType": "database gateway",
        "uco-tool:version": env!("CARGO_PKG_VERSION"),
    });
    let files: Vec<Value> = bundle.parts().map(|(name, bytes)| ids.file(name, bytes)).collect();
    let accounts: Vec<Value> =
        case.accounts.iter().map(|(account, ..)| ids.account(account.as_str())).collect();
    let performer = ids.of_part("identity", custody.by());
    let actions: Vec<Value> = custody
        .acts()
        .enumerate()
        .map(|(number, (time, act, what))| {
            json!({
                "@id": ids.of_part("action", &number.to_string()),
                "@type": "case-investigation:InvestigativeAction",
                "uco-action:endTime": { "@type": "xsd:dateTime", "@value": time },
                "uco-action:instrument": reference(&tool),
                "uco-action:object": references(&files),
                "uco-action:performer": { "@id": performer },
                "uco-core:description": format!("{act} {what}"),
                "uco-core:name": act,
            })
        })
        .collect();
    let provenance = json!({
        "@id": ids.of_part("provenance", ""),
        "@type": "case-investigation:ProvenanceRecord",
        "uco-core:description": "The files of this evidence, as manifest.dsse.json signs them",
        "uco-core:object": references(&files),
    });
    let identity = json!({
        "@id": performer,
        "@type": "uco-identity:Identity",
        "uco-core:name": custody.by(),
    });
    let concerned: Vec<Value> =
        accounts.iter().chain(&actions).chain([&provenance]).map(reference).collect();
    let investigation = json!({
        "@id": ids.of_part("investigation", ""),
        "@type": "case-investigation:Investigation",
        "uco-core:description": page.summary(),
        "uco-core:name": page.title(),
        "uco-core:object": concerned,
    });
    let mut nodes = vec![investigation, provenance, tool, identity];
    nodes.extend(accounts.into_iter().chain(files).chain(actions));
    Ok(serde_json::to_vec_pretty(&json!({ "@context": context(), "@graph": nodes }))?)
}

fn context() -> Value {
    let uco = |part: &str| format!("https://ontology.unifiedcyberontology.org/uco/{part}/");
    json!({
        "case-investigation": "https://ontology.caseontology.org/case/investigation/",
        "kb": "urn:uuid:",
        "uco-action": uco("action"),
        "uco-core": uco("core"),
        "uco-identity": uco("identity"),
        "uco-observable": uco("observable"),
        "uco-tool": uco("tool"),
        "uco-types": uco("types"),
        "xsd": "http://www.w3.org/2001/XMLSchema#",
    })
}

fn reference(node: &Value) -> Value {
    json!({ "@id": node["@id"] })
}

fn references(nodes: &[Value]) -> Vec<Value> {
    nodes.iter().map(reference).collect()
}

/// The names of nodes: UUIDs made of what the bundle holds (version 8, RFC 9562), so that no two
/// cases have the same and one exported twice from the same files has.
struct Ids(Sha256);

impl Ids {
    fn of(bundle: &Bundle) -> Self {
        let mut hash = Sha256::new_with_prefix("postern case 1");
        for (name, bytes) in bundle.parts() {
            hash.update(Sha256::digest(name));
            hash.update(Sha256::digest(bytes));
        }
        Self(hash)
    }

    fn of_part(&self, kind: &str, name: &str) -> String {
        let digest = self.0.clone().chain_update(format!("{kind}\0{name}")).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let groups = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        format!("kb:{}", groups.join("-"))
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Value {
        let hash = json!({
            "@id": self.of_part("hash", name),
            "@type": "uco-types:Hash",
            "uco-types:hashMethod": "SHA256",
            "uco-types:hashValue": { "@type": "xsd:hexBinary", "@value": super::sha256(bytes) },
        });
        let size = json!({ "@type": "xsd:integer", "@value": bytes.len().to_string() });
        let facets = json!([
            {
                "@id": self.of_part("name", name),
                "@type": "uco-observable:FileFacet",
                "uco-observable:fileName": name,
                "uco-observable:sizeInBytes": size,
            },
            {
                "@id": self.of_part("content", name),
                "@type": "uco-observable:ContentDataFacet",
                "uco-observable:hash": [hash],
            },
        ]);
        json!({
            "@id": self.of_part("file", name),
            "@type": "uco-observable:File",
            "uco-core:hasFacet": facets,
        })
    }

    fn account(&self, name: &str) -> Value {
        let facet = json!({
            "@id": self.of_part("account facet", name),
            "@type": "uco-observable:AccountFacet",
            "uco-observable:accountIdentifier": name,
        });
        json!({
            "@id": self.of_part("account", name),
            "@type": "uco-observable:UserAccount",
            "uco-core:hasFacet": [facet],
        })
    }
}
