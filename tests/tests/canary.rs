//! Patient data stays where it belongs (H10): words that are only in bodies are in no log, metric, list or reason,
//! whatever became of their messages.

use std::path::Path;
use std::time::Duration;

use hub_tests::Fallible;
use hub_tests::folder::Folder;
use hub_tests::hub::{Launch, command};
use hub_tests::mllp::{Connection, framed};
use hub_tests::peer::Peer;

const WITHIN: Duration = Duration::from_secs(30);
/// Words that a body has and nothing else, in each kind of field: name, national id, address, drug, text, free field.
const CANARIES: [&str; 6] = ["قناريهاسم", "29912310199876", "CANARYSTREET", "CANARYDRUG", "قناريهنص", "CANARYFREE"];

fn order(control_id: &str) -> String {
    let [name, national_id, street, drug, text, free] = CANARIES;
    [
        &format!("MSH|^~\\&|HIS|WARD|NDPHUB|HEALTHFLOW|20261105093015+0200||RDE^O11^RDE_O11|{control_id}|P|2.5.1||||||UNICODE UTF-8"),
        &format!("PID|1||{national_id}^^^EGNID^NI||{name}^محمد||||||{street}"),
        &format!("ORC|NW|{control_id}^HIS||||||||||12345^حسن^علي"),
        &format!("RXE||6221234567891^{drug}^GTIN|1||TAB^Tablet^HL70292"),
        &format!("NTE|1|P|{text}"),
        "TQ1|||BID",
        "RXR|PO^Oral^HL70162",
        &format!("ZFR|{free}"),
        "",
    ]
    .join("\r")
}

fn routes(far: u16, folder: &Path) -> String {
    format!(
        r#"
[source.ward]
adapter = "hl7v2-mllp"
listen  = "127.0.0.1:0"
key     = 'PID-3[.5 = "NI"].1'
patient = 'PID-3[.5 = "NI"].1'

[destination.refuses]
adapter = "hl7v2-mllp"
connect = "127.0.0.1:{far}"

[destination.dead]
adapter = "http"
url     = "http://127.0.0.1:9/"
retry   = {{ first = "10ms", max = "20ms", give_up = "100ms" }}

[destination.events]
adapter = "file"
folder  = "{}"

[[route]]
id   = "orders"
why  = "An order becomes a prescription, or is refused by its mapping."
from = ["ward"]
when = 'MSH-9.1 = "RDE"'
map  = "rde_o11_to_prescription"
to   = ["prescription", "dead"]

[[route]]
id   = "copies"
why  = "The order as it came, to a system that refuses it."
from = ["ward"]
when = 'MSH-9.1 = "RDE"'
to   = ["refuses"]

[[route]]
id   = "events"
why  = "What the domain says goes out."
from = ["prescription.events"]
to   = ["events"]
"#,
        folder.display()
    )
}

#[test]
fn words_of_a_body_are_in_no_log_metric_list_or_reason() -> Fallible<()> {
    let folder = Folder::new("canary")?;
    folder.copy_mappings()?;
    let far = Peer::Python.listen(&folder.folder("far")?, "AR")?;
    let file = folder.write("routes.toml", routes(far.port(), &folder.folder("events")?))?;
    let data = folder.path().join("data");
    let hub = Launch::new(&data, file).with("HUB_LOG", "trace").with("RUST_LOG", "trace").start()?;

    let messages = [
        order("CANARY-TAKEN"),
        order("CANARY-TAKEN"),
        order("CANARY-TAKEN").replace("GTIN", "NDC"),
        order("CANARY-TRAINING").replace("|P|2.5.1", "|T|2.5.1"),
        order("CANARY-FILTERED").replace("RDE^O11^RDE_O11", "ADT^A08^ADT_A01"),
        order("CANARY-UNMAPPED").replace("ORC|NW|CANARY-UNMAPPED^HIS", "ORC|NW|"),
        order("CANARY-CANCEL").replace("ORC|NW", "ORC|CA"),
        CANARIES.join("|"),
    ];
    let mut connection = Connection::open(hub.mllp("ward")?)?;
    for message in &messages {
        connection.write(&framed(message.as_bytes()))?;
        let answer = connection.answer(WITHIN)?;
        assert_clean("an answer", &answer.text);
    }
    hub.api().drained(WITHIN)?;

    for path in ["/metrics", "/api/v1/messages", "/api/v1/routes", "/api/v1/sources", "/api/v1/destinations"] {
        assert_clean(path, &hub.api().text(path)?.1);
    }
    for state in ["delivered", "filtered", "refused", "dead-lettered"] {
        let found = hub.api().messages(&format!("state={state}"))?;
        assert!(!found.is_empty(), "no message is {state}, so this test says nothing about them");
        assert_clean(state, &format!("{found:?}"));
    }
    let at = data.to_string_lossy();
    let listed = command(&["dead-letters", "list", "--data", &at])?;
    assert_clean("`hub dead-letters list`", &String::from_utf8_lossy(&listed.stdout));
    let log = hub.process.log();
    assert!(!log.is_empty(), "the hub logged nothing");
    assert_clean("the log", &log);
    hub.stop()
}

fn assert_clean(place: &str, text: &str) {
    let found: Vec<&str> = CANARIES.into_iter().filter(|word| text.contains(word)).collect();
    assert!(found.is_empty(), "{place} has {found:?}: {text}");
}
