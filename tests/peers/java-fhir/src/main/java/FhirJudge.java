import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.ResultSeverityEnum;
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
        rules.setAnyExtensionsAllowed(false);
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
        ResultSeverityEnum severity = message.getSeverity();
        return issue(severity.getCode(), message.getLocationString(), message.getMessage());
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
