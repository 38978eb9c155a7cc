import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.SingleValidationMessage;
import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;

/**
 * A foreign judge of FHIR R4: the HAPI FHIR validator, which asks nothing of any network.
 *
 * In comes a line {"name": ..., "document": TEXT} for each resource; out goes a line {"name": ..., "issues": [...]}
 * for each, when it is judged, not in the order in which they came. It ends when its input does.
 */
public final class FhirJudge {
    private static final int THREADS = 2;
    private static final String OWN_EXTENSIONS = "http://ndp.egypt.gov.eg/fhir/StructureDefinition/";
    /** A warning, because most code systems are kept by others: SNOMED CT, ICD-10, those of a hospital. */
    private static final Pattern UNKNOWN_SYSTEM = Pattern.compile("^CodeSystem is unknown and can't be validated: (\\S+) ");
    /** Tables of HL7 v2 that exist and that R4 does not hold, or holds by version only. */
    private static final String NOT_IN_R4 =
            "0005|0006|0093|0112|0125|0347|0353|0360|0451|0452|0453|0454|0458|0467|0532|0560";
    /** HL7's own are all at hand, so an unknown one of these is a mistake. */
    private static final Pattern OF_HL7 = Pattern.compile(
            "^http://(terminology\\.hl7\\.org/(?!CodeSystem/v2-(" + NOT_IN_R4 + ")$)|hl7\\.org/fhir/(?!sid/))");
    private static final Gson JSON = new Gson();

    private final FhirValidator validator;

    private FhirJudge() {
        FhirContext context = FhirContext.forR4();
        ValidationSupportChain support = new ValidationSupportChain(
                new DefaultProfileValidationSupport(context),
                new CommonCodeSystemsTerminologyService(context),
                new InMemoryTerminologyServerValidationSupport(context),
                new SnapshotGeneratingValidationSupport(context));
        FhirInstanceValidator rules = new FhirInstanceValidator(support);
        rules.setBestPracticeWarningLevel(BestPracticeWarningLevel.Ignore);
        rules.setErrorForUnknownProfiles(true);
        // Extensions of the national profiles, whose definitions nobody publishes yet: only these may be unknown.
        rules.setAnyExtensionsAllowed(false);
        rules.setCustomExtensionDomains(OWN_EXTENSIONS);
        validator = context.newValidator().registerValidatorModule(rules);
    }

    public static void main(String[] arguments) throws Exception {
        FhirJudge judge = new FhirJudge();
        ExecutorService threads = Executors.newFixedThreadPool(THREADS);
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                JsonObject request = JSON.fromJson(line, JsonObject.class);
                threads.execute(() -> judge.answer(request));
            }
        }
        threads.shutdown();
        threads.awaitTermination(Long.MAX_VALUE, TimeUnit.DAYS);
    }

    private void answer(JsonObject request) {
        JsonArray issues = new JsonArray();
        try {
            var result = validator.validateWithResult(request.get("document").getAsString());
            result.getMessages().forEach(message -> issues.add(issue(message)));
        } catch (RuntimeException | Error failure) {
            // What the validator cannot even look at is no resource.
            issues.add(issue("fatal", "", failure.toString()));
        }
        JsonObject answer = new JsonObject();
        answer.add("name", request.get("name"));
        answer.add("issues", issues);
        say(answer);
    }

    private static JsonObject issue(SingleValidationMessage message) {
        Matcher unknown = UNKNOWN_SYSTEM.matcher(message.getMessage());
        boolean isOfHl7 = unknown.find() && OF_HL7.matcher(unknown.group(1)).find();
        String severity = isOfHl7 ? "error" : message.getSeverity().getCode();
        return issue(severity, message.getLocationString(), message.getMessage());
    }

    private static JsonObject issue(String severity, String location, String text) {
        JsonObject issue = new JsonObject();
        issue.addProperty("severity", severity);
        issue.addProperty("location", location);
        issue.addProperty("message", text);
        return issue;
    }

    private static synchronized void say(JsonObject answer) {
        byte[] line = (JSON.toJson(answer) + "\n").getBytes(StandardCharsets.UTF_8);
        System.out.write(line, 0, line.length);
        System.out.flush();
    }
}
