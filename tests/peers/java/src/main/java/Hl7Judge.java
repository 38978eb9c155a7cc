import ca.uhn.hl7v2.AbstractHL7Exception;
import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HL7Exception;
import ca.uhn.hl7v2.HapiContext;
import ca.uhn.hl7v2.model.Composite;
import ca.uhn.hl7v2.model.GenericMessage;
import ca.uhn.hl7v2.model.Group;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.model.Segment;
import ca.uhn.hl7v2.model.Structure;
import ca.uhn.hl7v2.model.Type;
import ca.uhn.hl7v2.model.Varies;
import ca.uhn.hl7v2.util.idgenerator.InMemoryIDGenerator;
import ca.uhn.hl7v2.validation.CollectingValidationExceptionHandler;
import ca.uhn.hl7v2.validation.MessageValidator;
import ca.uhn.hl7v2.validation.builder.support.DefaultValidationWithoutTNBuilder;
import ca.uhn.hl7v2.validation.impl.ValidationContextFactory;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A foreign judge of HL7 v2: HAPI parses into the class of the message's structure with its own rules for data types,
 * and the message is held against that class: segments in their groups, required ones, repetitions, fields, components.
 *
 * In comes a line {"name": ..., "document": TEXT} for each message; out goes a line {"name": ..., "issues": [...]} for
 * each. Of HAPI's default rules only that for telephone numbers is left out: it knows none but American ones.
 */
final class Hl7Judge {
    private final HapiContext context;
    private List<Map<String, Object>> issues = new ArrayList<>();

    Hl7Judge() {
        context = new DefaultHapiContext(ValidationContextFactory.fromBuilder(new DefaultValidationWithoutTNBuilder()));
        // Not while it parses: it would stop at the first thing that it objects to.
        context.getParserConfiguration().setValidating(false);
        // The default one keeps its state in a file of the current folder.
        context.getParserConfiguration().setIdGenerator(new InMemoryIDGenerator());
    }

    static void run() throws Exception {
        Hl7Judge judge = new Hl7Judge();
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                Map<String, String> request = Json.strings(line);
                List<Map<String, Object>> issues = judge.judge(request.get("document"));
                Json.say(Json.fields("name", request.get("name"), "issues", issues));
            }
        }
    }

    private List<Map<String, Object>> judge(String document) {
        issues = new ArrayList<>();
        String text = document.replaceFirst("^\uFEFF", "").replaceAll("\r?\n", "\r");
        try {
            Message message = context.getPipeParser().parse(text);
            if (message instanceof GenericMessage) {
                error("MSH-9", "no class for the structure " + message.getName() + " of version " + message.getVersion());
                return issues;
            }
            Objections objections = new Objections(context);
            MessageValidator validator = new MessageValidator(context.getValidationContext());
            validator.setValidatePrimitives(true);
            validator.validate(text, false, message.getVersion(), objections);
            validator.validate(message, objections);
            objections.getExceptions().forEach(one -> error(place(one), one.getMessage()));
            group(message, "");
        } catch (HL7Exception failure) {
            error(place(failure), failure.getMessage());
        }
        return issues;
    }

    private static String place(AbstractHL7Exception failure) {
        return failure.getLocation() == null ? "" : failure.getLocation().toString();
    }

    /** All that HAPI's rules object to. */
    private static final class Objections extends CollectingValidationExceptionHandler<Boolean> {
        Objections(HapiContext context) {
            super(context);
        }

        @Override
        public Boolean result() {
            return !hasFailed();
        }
    }

    private void error(String location, String message) {
        issues.add(Json.fields("severity", "error", "location", location, "message", message));
    }

    private void group(Group group, String path) throws HL7Exception {
        Set<String> unexpected = new HashSet<>();
        if (group instanceof ca.uhn.hl7v2.model.AbstractGroup parent) {
            unexpected.addAll(parent.getNonStandardNames());
        }
        for (String name : group.getNames()) {
            Structure[] found = group.getAll(name);
            boolean absent = found.length == 0 || found[0].isEmpty();
            String place = path.isEmpty() ? name : path + "/" + name;
            if (unexpected.contains(name)) {
                if (!name.startsWith("Z")) {
                    error(place, "a segment that does not belong here");
                }
                continue;
            }
            if (absent && group.isRequired(name)) {
                error(place, "required, and absent");
            }
            if (found.length > 1 && !group.isRepeating(name)) {
                error(place, "may not repeat, and does");
            }
            for (int at = 0; at < found.length && !absent; at++) {
                String one = found.length > 1 ? place + "(" + at + ")" : place;
                if (found[at] instanceof Group inner) {
                    group(inner, one);
                } else {
                    segment((Segment) found[at], one);
                }
            }
        }
    }

    private void segment(Segment segment, String path) throws HL7Exception {
        String[] names = segment.getNames();
        for (int number = 1; number <= segment.numFields(); number++) {
            String place = path + "-" + number;
            Type[] found = segment.getField(number);
            boolean absent = found.length == 0 || found[0].isEmpty() && found.length == 1;
            if (names[number - 1] == null) {
                if (!absent) {
                    error(place, "the segment has no such field");
                }
                continue;
            }
            int most = segment.getMaxCardinality(number);
            if (absent && segment.isRequired(number)) {
                error(place, "required, and absent: " + names[number - 1]);
            }
            if (most > 0 && found.length > most) {
                error(place, "may stand " + most + " times, and does " + found.length + ": " + names[number - 1]);
            }
            for (Type value : found) {
                type(value, place);
            }
        }
    }

    /** A part that the data type does not have. */
    private void type(Type value, String place) throws HL7Exception {
        Type inner = value instanceof Varies varies ? varies.getData() : value;
        for (int at = 0; at < inner.getExtraComponents().numComponents(); at++) {
            if (!inner.getExtraComponents().getComponent(at).isEmpty()) {
                error(place, "more components than " + inner.getName() + " has");
            }
        }
        if (inner instanceof Composite composite) {
            Type[] components = composite.getComponents();
            for (int at = 0; at < components.length; at++) {
                type(components[at], place + "." + (at + 1));
            }
        }
    }
}
