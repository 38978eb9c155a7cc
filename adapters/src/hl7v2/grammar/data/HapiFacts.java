import ca.uhn.hl7v2.model.AbstractType;
import ca.uhn.hl7v2.model.Composite;
import ca.uhn.hl7v2.model.Group;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.model.Segment;
import ca.uhn.hl7v2.model.Structure;
import ca.uhn.hl7v2.model.Type;
import ca.uhn.hl7v2.parser.DefaultModelClassFactory;
import ca.uhn.hl7v2.parser.ModelClassFactory;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.TreeMap;
import java.util.jar.JarFile;
import java.util.stream.Collectors;

/**
 * What the structure classes of Java HAPI say of segments, data types, messages and events. Run by
 * generate.mjs with the paths of the jars as arguments, each as VERSION=JAR. Writes lines of tabs:
 *
 *   segment  VERSION  NAME  NUMBER  TYPE  R|O  REPETITIONS (0 is any)  LENGTH (0 is none)  TABLE (0 is none)  TEXT
 *   type     VERSION  NAME  NUMBER  TYPE  TABLE  NAME_OF_THE_GETTER
 *   message  VERSION  NAME  MEMBERS in the notation of messages.txt
 *   event    VERSION  EVENT  STRUCTURE
 */
public class HapiFacts {
    private static final ModelClassFactory CLASSES = new DefaultModelClassFactory();
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    private final String version;
    private final List<Class<?>> all = new ArrayList<>();
    private final Message owner;

    HapiFacts(String version, String jar) throws Exception {
        this.version = version;
        String root = "ca.uhn.hl7v2.model.v" + version.replace(".", "") + ".";
        try (JarFile file = new JarFile(jar)) {
            List<String> names = file.stream().map(entry -> entry.getName()).sorted().collect(Collectors.toList());
            for (String name : names) {
                if (name.startsWith(root.replace('.', '/')) && name.endsWith(".class") && !name.contains("$")) {
                    all.add(Class.forName(name.substring(0, name.length() - 6).replace('/', '.')));
                }
            }
        }
        owner = (Message) Class.forName(root + "message.ACK").getConstructor().newInstance();
    }

    public static void main(String[] arguments) throws Exception {
        for (String argument : arguments) {
            String[] parts = argument.split("=", 2);
            HapiFacts facts = new HapiFacts(parts[0], parts[1]);
            facts.segments();
            facts.types();
            facts.messages();
            facts.events();
        }
        OUT.flush();
    }

    private List<Class<?>> in(String part) {
        return all.stream().filter(one -> one.getPackageName().endsWith("." + part)).collect(Collectors.toList());
    }

    private static void row(Object... columns) {
        OUT.println(Arrays.stream(columns).map(String::valueOf).collect(Collectors.joining("\t")));
    }

    private void segments() throws Exception {
        for (Class<?> one : in("segment")) {
            Segment segment = (Segment) made(one, owner);
            for (int field = 1; field <= segment.numFields(); field++) {
                Type type = segment.getField(field, 0);
                int repetitions = Math.max(0, segment.getMaxCardinality(field));
                String usage = segment.isRequired(field) ? "R" : "O";
                row("segment", version, segmentName(one), field, type.getClass().getSimpleName(), usage, repetitions,
                    segment.getLength(field), table(type), segment.getNames()[field - 1]);
            }
        }
    }

    private void types() throws Exception {
        for (Class<?> one : in("datatype")) {
            if (!Composite.class.isAssignableFrom(one) || Modifier.isAbstract(one.getModifiers())) {
                continue;
            }
            Composite composite = (Composite) one.getConstructor(Message.class).newInstance(owner);
            int number = 0;
            for (Type component : composite.getComponents()) {
                number++;
                String type = component.getClass().getSimpleName();
                row("type", version, one.getSimpleName(), number, type, table(component), getter(one, number));
            }
        }
    }

    private void messages() throws Exception {
        TreeMap<String, String> written = new TreeMap<>();
        for (Class<?> one : in("message")) {
            Message message = (Message) one.getConstructor().newInstance();
            written.put(one.getSimpleName(), members(message));
        }
        written.forEach((name, members) -> row("message", version, name, members));
    }

    private void events() throws Exception {
        String path = "/ca/uhn/hl7v2/parser/eventmap/" + version + ".properties";
        Properties map = new Properties();
        try (InputStream stream = HapiFacts.class.getResourceAsStream(path)) {
            map.load(stream);
        }
        new TreeMap<>(map).forEach((event, structure) -> row("event", version, event, structure));
    }

    /** Several segments of which one is to be chosen stand beside each other, each marked as a choice. */
    private static String members(Group group) throws Exception {
        List<String> written = new ArrayList<>();
        List<String> choice = new ArrayList<>();
        for (String name : group.getNames()) {
            Class<? extends Structure> member = group.getClass(name);
            String segment = group.isGroup(name) ? null : segmentName(member);
            boolean placeholder = segment != null && !segment.matches("[A-Z][A-Z0-9]{2}");
            if (placeholder) {
                continue;
            }
            if (group.isChoiceElement(name) && segment != null) {
                choice.add(segment);
                continue;
            }
            flush(choice, written);
            String inner = segment;
            if (segment == null) {
                Group child = (Group) made(member, group);
                inner = "(" + name.toUpperCase() + ": " + members(child) + ")";
            }
            inner = group.isRepeating(name) ? "{" + inner + "}" : inner;
            written.add(group.isRequired(name) ? inner : "[" + inner + "]");
        }
        flush(choice, written);
        return String.join(" ", written);
    }

    private static void flush(List<String> choice, List<String> written) {
        if (!choice.isEmpty()) {
            written.add(choice.size() == 1 ? choice.get(0) : "<" + String.join("|", choice) + ">");
            choice.clear();
        }
    }

    private static Object made(Class<?> structure, Group around) throws Exception {
        return structure.getConstructor(Group.class, ModelClassFactory.class).newInstance(around, CLASSES);
    }

    /** CON is no name for a file on some systems, so its class is CON_. */
    private static String segmentName(Class<?> segment) {
        return segment.getSimpleName().replace("_", "");
    }

    private static int table(Type type) throws Exception {
        if (type instanceof AbstractType) {
            for (Method method : type.getClass().getMethods()) {
                if (method.getName().equals("getTable") && method.getParameterCount() == 0) {
                    return (Integer) method.invoke(type);
                }
            }
        }
        return 0;
    }

    private static String getter(Class<?> type, int number) {
        String start = "get" + type.getSimpleName() + number + "_";
        return Arrays.stream(type.getMethods()).map(Method::getName)
            .filter(name -> name.regionMatches(true, 0, start, 0, start.length()))
            .map(name -> name.substring(start.length())).findFirst().orElse("");
    }
}
