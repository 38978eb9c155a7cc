use super::*;

/// `status 1..1 code !medicationrequest-status`, as the tables have it.
fn written(element: &Element) -> String {
    let choice = if element.is_choice { "[x]" } else { "" };
    let min = if element.is_required { 1 } else { 0 };
    let max = if element.repeats { "*" } else { "1" };
    let types: Vec<String> = element.types.iter().map(written_type).collect();
    let binding = element.binding.map_or(String::new(), |binding| {
        let mark = if binding.strength == Strength::Required { "!" } else { "+" };
        format!(" {mark}{}", binding.value_set)
    });
    format!("{}{choice} {min}..{max} {}{binding}", element.name, types.join("|"))
}

fn written_type(kind: &ElementType) -> String {
    let name = kind.profile.unwrap_or(kind.name);
    if kind.targets.is_empty() { name.to_owned() } else { format!("{name}({})", kind.targets.join(",")) }
}

fn codes(name: &str) -> String {
    value_set(name).unwrap().codes().collect::<Vec<_>>().join(" ")
}

/// All structures of the tables.
fn all() -> impl Iterator<Item = &'static Structure> {
    let kinds = [Kind::Resource, Kind::DataType, Kind::Profile, Kind::Part, Kind::Abstract];
    kinds.into_iter().flat_map(read::names).map(|name| structure(name).unwrap())
}

#[test]
fn the_elements_are_those_of_the_standard() {
    for (place, expected) in [
        ("MedicationRequest", "identifier 0..* Identifier"),
        ("MedicationRequest", "status 1..1 code !medicationrequest-status"),
        ("MedicationRequest", "intent 1..1 code !medicationrequest-intent"),
        ("MedicationRequest", "priority 0..1 code !request-priority"),
        ("MedicationRequest", "medication[x] 1..1 CodeableConcept|Reference(Medication)"),
        ("MedicationRequest", "subject 1..1 Reference(Patient,Group)"),
        ("MedicationRequest", "supportingInformation 0..* Reference"),
        ("MedicationRequest", "insurance 0..* Reference(Coverage,ClaimResponse)"),
        ("MedicationRequest", "dosageInstruction 0..* Dosage"),
        ("MedicationRequest", "dispenseRequest 0..1 MedicationRequest.dispenseRequest"),
        ("MedicationRequest", "contained 0..* Resource"),
        ("MedicationRequest", "id 0..1 id"),
        ("MedicationRequest", "resourceType 1..1 code !resource-types"),
        ("MedicationRequest.dispenseRequest", "quantity 0..1 SimpleQuantity"),
        ("MedicationRequest.dispenseRequest", "modifierExtension 0..* Extension"),
        ("MedicationRequest.substitution", "allowed[x] 1..1 boolean|CodeableConcept"),
        ("MedicationDispense", "status 1..1 code !medicationdispense-status"),
        ("MedicationDispense.substitution", "wasSubstituted 1..1 boolean"),
        ("Dosage.doseAndRate", "dose[x] 0..1 Range|SimpleQuantity"),
        ("Dosage.doseAndRate", "rate[x] 0..1 Ratio|Range|SimpleQuantity"),
        ("Dosage", "asNeeded[x] 0..1 boolean|CodeableConcept"),
        ("Dosage.doseAndRate", "id 0..1 string"),
        ("Timing.repeat", "bounds[x] 0..1 Duration|Range|Period"),
        ("Timing.repeat", "periodUnit 0..1 code !units-of-time"),
        ("Timing.repeat", "timeOfDay 0..* time"),
        ("Claim.item", "sequence 1..1 positiveInt"),
        ("Claim.item", "productOrService 1..1 CodeableConcept"),
        ("Claim.item.detail.subDetail", "quantity 0..1 SimpleQuantity"),
        ("Claim", "insurance 1..* Claim.insurance"),
        ("ClaimResponse.addItem", "adjudication 1..* ClaimResponse.item.adjudication"),
        ("ClaimResponse.payment", "amount 1..1 Money"),
        ("Coverage", "payor 1..* Reference(Organization,Patient,RelatedPerson)"),
        ("Coverage.class", "type 1..1 CodeableConcept +coverage-class"),
        ("CoverageEligibilityRequest", "purpose 1..* code !eligibilityrequest-purpose"),
        ("Patient", "deceased[x] 0..1 boolean|dateTime"),
        ("Patient", "multipleBirth[x] 0..1 boolean|integer"),
        ("Patient", "gender 0..1 code !administrative-gender"),
        ("Patient.link", "other 1..1 Reference(Patient,RelatedPerson)"),
        (
            "Observation",
            "value[x] 0..1 Quantity|CodeableConcept|string|boolean|integer|Range|Ratio|SampledData|time|dateTime|Period",
        ),
        ("AllergyIntolerance", "clinicalStatus 0..1 CodeableConcept !allergyintolerance-clinical"),
        ("AllergyIntolerance.reaction", "manifestation 1..* CodeableConcept"),
        ("Encounter", "class 1..1 Coding +v3-ActEncounterCode"),
        ("Bundle", "type 1..1 code !bundle-type"),
        ("Bundle.entry", "link 0..* Bundle.link"),
        ("Bundle.entry", "resource 0..1 Resource"),
        ("Bundle.entry.request", "method 1..1 code !http-verb"),
        ("MessageHeader", "event[x] 1..1 Coding|uri"),
        ("OperationOutcome.issue", "code 1..1 code !issue-type"),
        ("AuditEvent", "recorded 1..1 instant"),
        ("Provenance", "target 1..* Reference"),
        ("Extension", "url 1..1 uri"),
        ("Narrative", "div 1..1 xhtml"),
        ("Money", "currency 0..1 code !currencies"),
        ("Attachment", "contentType 0..1 code !mimetypes"),
        ("Reference", "type 0..1 uri +resource-types"),
        ("Meta", "versionId 0..1 id"),
        ("Signature", "who 1..1 Reference(Practitioner,PractitionerRole,RelatedPerson,Patient,Device,Organization)"),
        ("Age", "comparator 0..1 code !quantity-comparator"),
    ] {
        let name = expected.split([' ', '[']).next().unwrap();
        let element = structure(place).unwrap().element(name).unwrap_or_else(|| panic!("{place} has no {name}"));
        assert_eq!(written(element), expected, "{place}");
    }
}

#[test]
fn the_codes_are_those_of_the_standard() {
    for (name, expected) in [
        ("medicationrequest-status", "active on-hold cancelled completed entered-in-error stopped draft unknown"),
        (
            "medicationrequest-intent",
            "proposal plan order original-order reflex-order filler-order instance-order option",
        ),
        ("request-priority", "routine urgent asap stat"),
        (
            "bundle-type",
            "document message transaction transaction-response batch batch-response history searchset collection",
        ),
        ("administrative-gender", "male female other unknown"),
        ("units-of-time", "s min h d wk mo a"),
        ("http-verb", "GET HEAD POST PUT DELETE PATCH"),
        ("claim-use", "claim preauthorization predetermination"),
        ("remittance-outcome", "queued complete error partial"),
        ("issue-severity", "fatal error warning information"),
        ("allergyintolerance-clinical", "active inactive resolved"),
        ("link-type", "replaced-by replaces refer seealso"),
        ("eligibilityrequest-purpose", "auth-requirements benefits discovery validation"),
        ("provenance-entity-role", "derivation revision quotation source removal"),
    ] {
        assert_eq!(codes(name), expected, "{name}");
    }
    assert_eq!(value_set("issue-type").unwrap().codes().count(), 31);
    assert_eq!(value_set("resource-types").unwrap().codes().count(), 148);
}

#[test]
fn a_code_is_judged_with_its_system_where_one_is_named() {
    let clinical = value_set("allergyintolerance-clinical").unwrap();
    assert_eq!(clinical.url, "http://hl7.org/fhir/ValueSet/allergyintolerance-clinical");
    let system = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical";
    assert!(clinical.may_have(Some(system), "active"));
    assert!(clinical.may_have(None, "active"));
    assert!(!clinical.may_have(Some("http://terminology.hl7.org/CodeSystem/condition-clinical"), "active"));
    assert!(!clinical.may_have(Some(system), "dormant"));
}

#[test]
fn code_systems_that_others_publish_are_named_and_open() {
    for (name, system) in [
        ("mimetypes", "urn:ietf:bcp:13"),
        ("currencies", "urn:iso:std:iso:4217"),
        ("ucum-units", "http://unitsofmeasure.org"),
    ] {
        let value_set = value_set(name).unwrap();
        assert!(!value_set.is_listed(), "{name}");
        assert_eq!(value_set.systems[0].url, Some(system));
        assert!(value_set.may_have(Some(system), "whatever"), "{name}");
    }
}

#[test]
fn required_codes_are_listed_unless_others_publish_them() {
    let bindings = all().flat_map(|structure| &structure.elements).filter_map(|element| element.binding);
    let mut open: Vec<&str> = bindings
        .inspect(|binding| assert!(binding.codes().is_some(), "{}", binding.value_set))
        .filter(|binding| binding.strength == Strength::Required && !binding.codes().unwrap().is_listed())
        .map(|binding| binding.value_set)
        .collect();
    open.sort_unstable();
    open.dedup();
    assert_eq!(open, ["LL379-9", "currencies", "mimetypes", "ucum-units"]);
}

#[test]
fn every_resource_that_the_hub_speaks_of_is_there() {
    for name in "Patient Practitioner PractitionerRole Organization Location Encounter Condition AllergyIntolerance \
        Observation DiagnosticReport ServiceRequest Specimen Medication MedicationKnowledge MedicationRequest \
        MedicationDispense MedicationAdministration Coverage CoverageEligibilityRequest CoverageEligibilityResponse \
        Claim ClaimResponse ExplanationOfBenefit PaymentNotice PaymentReconciliation Communication \
        CommunicationRequest Task Bundle MessageHeader OperationOutcome AuditEvent Provenance Consent \
        DocumentReference Appointment Schedule Slot ChargeItem DetectedIssue CapabilityStatement RelatedPerson \
        Account Procedure Immunization Subscription Parameters Binary Group Device CareTeam Basic"
        .split_whitespace()
    {
        assert!(resource(name).is_some(), "{name}");
    }
    assert_eq!(resource_names().count(), 148 - 2, "all but the two that are abstract");
    assert!(resource("Dosage").is_none() && resource("DomainResource").is_none() && resource("patient").is_none());
    assert!(data_type("Dosage").is_some() && data_type("Patient").is_none() && data_type("string").is_none());
}

#[test]
fn every_type_that_an_element_names_is_known() {
    for structure in all() {
        assert!(structure.base.is_none() || structure.base().is_some(), "{}", structure.name);
        for element in &structure.elements {
            assert!(element.is_choice || element.types.len() == 1, "{}.{}", structure.name, element.name);
            for kind in &element.types {
                let is_known = kind.primitive().is_some() != kind.structure().is_some();
                assert!(is_known, "{}.{}: {}", structure.name, element.name, kind.name);
                for target in &kind.targets {
                    assert!(resource(target).is_some(), "{}.{}: {target}", structure.name, element.name);
                }
            }
        }
    }
}

#[test]
fn every_row_of_the_tables_is_read() {
    for (table, count) in [(include_str!("resources.txt"), 5075), (include_str!("types.txt"), 324)] {
        let rows = table.lines().filter(|line| !line.starts_with(['#', '*']));
        assert_eq!(rows.clone().count(), count);
        let mut place = "";
        for row in rows {
            if let Some(head) = row.strip_prefix("= ") {
                place = head.split(' ').next().unwrap();
                assert!(structure(place).is_some(), "{place}");
                continue;
            }
            let name = row.split([' ', '[']).next().unwrap();
            let element = structure(place).unwrap().elements.iter().find(|element| element.name == name);
            let element = element.unwrap_or_else(|| panic!("{place}.{name}"));
            if !element.is_forbidden && !row.contains(" * ") && !row.ends_with(" *") {
                assert_eq!(written(element), row, "{place}");
            }
        }
    }
}

#[test]
fn no_two_elements_of_a_structure_have_one_name_in_json() {
    for structure in all() {
        let mut names: Vec<String> = structure.written_names().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{}", structure.name);
        for name in names {
            assert_eq!(structure.written(&name).unwrap().element.written_names().filter(|own| *own == name).count(), 1);
        }
    }
}

#[test]
fn elements_come_in_the_order_of_the_standard_those_of_the_base_first() {
    let names = |name: &str| structure(name).unwrap().elements().map(|element| element.name).collect::<Vec<_>>();
    assert_eq!(
        names("Slot").join(" "),
        "resourceType id meta implicitRules language text contained extension modifierExtension identifier \
         serviceCategory serviceType specialty appointmentType schedule status start end overbooked comment"
    );
    assert_eq!(
        names("Bundle").join(" "),
        "resourceType id meta implicitRules language identifier type timestamp total link entry signature"
    );
    assert_eq!(names("SimpleQuantity").join(" "), "id extension value unit system code");
    assert_eq!(names("Quantity").join(" "), "id extension value comparator unit system code");
    assert_eq!(names("Duration"), names("Quantity"));
}

#[test]
fn a_choice_has_one_name_for_each_of_its_types() {
    let observation = resource("Observation").unwrap();
    let value = observation.element("value").unwrap();
    assert_eq!(
        value.written_names().collect::<Vec<_>>().join(" "),
        "valueQuantity valueCodeableConcept valueString valueBoolean valueInteger valueRange valueRatio \
         valueSampledData valueTime valueDateTime valuePeriod"
    );
    let extension = data_type("Extension").unwrap();
    assert_eq!(extension.element("value").unwrap().types.len(), 50);
    for (name, kind) in [("valueDecimal", "decimal"), ("valueBase64Binary", "base64Binary"), ("valueMeta", "Meta")] {
        assert_eq!(extension.written(name).unwrap().kind.name, kind);
    }
    assert!(observation.written("valueMoney").is_none() && observation.written("value").is_none());
    assert!(observation.written("valuequantity").is_none());
}

#[test]
fn beside_a_primitive_value_stands_an_element_with_an_underscore() {
    let patient = resource("Patient").unwrap();
    let beside = patient.written("_birthDate").unwrap();
    assert!(beside.is_beside);
    assert_eq!(beside.kind.name, "Element");
    assert!(patient.written("_name").is_none(), "it has elements of its own");
    assert!(patient.written("__birthDate").is_none());
    assert!(patient.written("_resourceType").is_none());
    assert!(patient.written("_id").is_none(), "an id has no extensions");
    assert!(data_type("Extension").unwrap().written("_url").is_none());
    assert!(data_type("Narrative").unwrap().written("_div").is_none());
    assert!(structure("ExampleScenario.instance").unwrap().written("_resourceType").is_some());
    assert!(patient.written("_deceasedDateTime").is_some());
}

#[test]
fn a_reference_knows_where_it_may_lead() {
    let of = |name: &str| &resource("MedicationRequest").unwrap().element(name).unwrap().types[0];
    assert!(of("subject").may_lead_to("Patient") && !of("subject").may_lead_to("Practitioner"));
    assert!(of("supportingInformation").may_lead_to("Medication"));
    assert!(!of("status").may_lead_to("Patient"));
}
