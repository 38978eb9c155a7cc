import ca.uhn.hl7v2.AcknowledgmentCode;
import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HL7Exception;
import ca.uhn.hl7v2.HapiContext;
import ca.uhn.hl7v2.app.Connection;
import ca.uhn.hl7v2.app.Initiator;
import ca.uhn.hl7v2.llp.HL7Reader;
import ca.uhn.hl7v2.llp.HL7Writer;
import ca.uhn.hl7v2.llp.MinLowerLayerProtocol;
import ca.uhn.hl7v2.model.GenericMessage;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.model.v251.message.RDE_O11;
import ca.uhn.hl7v2.protocol.MetadataKeys;
import ca.uhn.hl7v2.protocol.ReceivingApplication;
import ca.uhn.hl7v2.util.SocketFactory;
import ca.uhn.hl7v2.util.StandardSocketFactory;
import ca.uhn.hl7v2.util.Terser;
import ca.uhn.hl7v2.util.idgenerator.InMemoryIDGenerator;
import ca.uhn.hl7v2.validation.ValidationContext;
import ca.uhn.hl7v2.validation.impl.ValidationContextFactory;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A foreign HL7 v2 peer: HAPI sends, takes, builds and judges.
 *
 * <pre>
 * send   --port P [--scenario S] [--answers N] FILE...   send files, print each answer as a line of JSON
 * listen --dir D [--answer AA]                           take messages until stdin closes, store and answer them
 * build  --out FILE --control-id ID --order NUMBER       write an RDE^O11 from HAPI's typed classes
 * judge  FILE...                                         parse into typed classes and validate, a verdict a file
 * issues                                                 judge the messages on stdin, see Hl7Judge
 * </pre>
 *
 * Scenarios: clean, lf, split, joined, junk, pipelined. Bytes that HAPI cannot be made to write go through a socket
 * of our own; HAPI's reader still reads the answers.
 */
public final class Peer {
    private static final String HOST = "127.0.0.1";
    private static final int ANSWER_SECONDS = 20;
    /** Long enough for the receiver to read what came before, so that the pieces really arrive apart. */
    private static final long PIECE_MS = 20;
    private static final byte[] START = {0x0b};
    private static final byte[] END = {0x1c};
    private static final byte[] RETURN = {0x0d};
    private static final byte[] JUNK = "\r\n \0\0 GET / HTTP/1.0\r\n".getBytes(StandardCharsets.US_ASCII);

    private final Map<String, String> options = new HashMap<>();
    private final List<Path> files = new ArrayList<>();

    public static void main(String[] arguments) throws Exception {
        // HAPI looks here for the charset of its readers and writers.
        System.setProperty("ca.uhn.hl7v2.llp.charset", "UTF-8");
        Peer peer = new Peer();
        for (int at = 1; at < arguments.length; at++) {
            if (arguments[at].startsWith("--")) {
                peer.options.put(arguments[at].substring(2), arguments[++at]);
            } else {
                peer.files.add(Path.of(arguments[at]));
            }
        }
        switch (arguments[0]) {
            case "send" -> peer.send();
            case "listen" -> peer.listen();
            case "build" -> peer.build();
            case "judge" -> peer.judge();
            case "issues" -> Hl7Judge.run();
            default -> throw new IllegalArgumentException("unknown command: " + arguments[0]);
        }
        System.exit(0);
    }

    private static HapiContext context(ValidationContext validation) {
        HapiContext context = new DefaultHapiContext(validation);
        MinLowerLayerProtocol protocol = new MinLowerLayerProtocol();
        protocol.setCharset(StandardCharsets.UTF_8);
        context.setLowerLayerProtocol(protocol);
        // The default one keeps its state in a file of the current folder.
        context.getParserConfiguration().setIdGenerator(new InMemoryIDGenerator());
        return context;
    }

    /** HAPI's own rules are made for American telephone numbers; structure and types are judged all the same. */
    private static HapiContext lenient() {
        return context(ValidationContextFactory.noValidation());
    }

    private int port() {
        return Integer.parseInt(options.get("port"));
    }

    /** The message of a file, without byte order mark and final line ends. */
    private static String unframed(Path file) throws IOException {
        String text = Files.readString(file, StandardCharsets.UTF_8);
        return text.replaceFirst("^\uFEFF", "").replaceFirst("[\r\n]+$", "") + "\r";
    }

    private static byte[] frame(String text) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        bytes.write(START);
        bytes.write(text.getBytes(StandardCharsets.UTF_8));
        bytes.write(END);
        bytes.write(RETURN);
        return bytes.toByteArray();
    }

    private void send() throws Exception {
        List<String> texts = new ArrayList<>();
        for (Path file : files) {
            texts.add(unframed(file));
        }
        String scenario = options.getOrDefault("scenario", "clean");
        if (scenario.equals("clean")) {
            sendByInitiator(texts);
            return;
        }
        int answers = Integer.parseInt(options.getOrDefault("answers", Integer.toString(texts.size())));
        MinLowerLayerProtocol protocol = new MinLowerLayerProtocol();
        protocol.setCharset(StandardCharsets.UTF_8);
        try (Socket socket = new Socket(HOST, port()); HapiContext context = lenient()) {
            socket.setTcpNoDelay(true);
            socket.setSoTimeout(ANSWER_SECONDS * 1000);
            writeUnusual(scenario, socket.getOutputStream(), protocol, texts);
            HL7Reader reader = protocol.getReader(socket.getInputStream());
            for (int count = 0; count < answers; count++) {
                String answer = reader.getMessage();
                if (answer == null) {
                    throw new IOException("the connection was closed before answer " + (count + 1));
                }
                Json.say(describe(context.getGenericParser().parse(answer), answer));
            }
        }
    }

    private void sendByInitiator(List<String> texts) throws Exception {
        try (HapiContext context = lenient()) {
            Connection connection = context.newClient(HOST, port(), false);
            Initiator initiator = connection.getInitiator();
            initiator.setTimeout(ANSWER_SECONDS, TimeUnit.SECONDS);
            for (String text : texts) {
                Message answer = initiator.sendAndReceive(context.getGenericParser().parse(text));
                Json.say(describe(answer, answer.encode()));
            }
            connection.close();
        }
    }

    /** Writes what a well-behaved sender would not, or would not at once. */
    private static void writeUnusual(String scenario, OutputStream out, MinLowerLayerProtocol protocol, List<String> texts)
            throws Exception {
        HL7Writer writer = protocol.getWriter(out);
        ByteArrayOutputStream joined = new ByteArrayOutputStream();
        for (String text : texts) {
            switch (scenario) {
                case "pipelined" -> writer.writeMessage(text);
                case "lf" -> writer.writeMessage(text.replace('\r', '\n'));
                case "joined" -> joined.write(frame(text));
                case "junk" -> {
                    out.write(JUNK);
                    writer.writeMessage(text);
                    out.write(JUNK);
                }
                case "split" -> {
                    byte[] body = text.getBytes(StandardCharsets.UTF_8);
                    int half = body.length / 2;
                    byte[] first = Arrays.copyOfRange(body, 0, half);
                    byte[] second = Arrays.copyOfRange(body, half, body.length);
                    for (byte[] piece : List.of(START, first, second, END, RETURN)) {
                        out.write(piece);
                        out.flush();
                        Thread.sleep(PIECE_MS);
                    }
                }
                default -> throw new IllegalArgumentException("unknown scenario: " + scenario);
            }
        }
        out.write(joined.toByteArray());
        out.flush();
    }

    private void listen() throws Exception {
        HapiContext context = lenient();
        context.setSocketFactory(loopbackOnly());
        Path directory = Path.of(options.get("dir"));
        AcknowledgmentCode code = AcknowledgmentCode.valueOf(options.getOrDefault("answer", "AA"));
        AtomicInteger count = new AtomicInteger();
        var server = context.newServer(freePort(), false);
        server.registerApplication(new ReceivingApplication<Message>() {
            @Override
            public Message processMessage(Message message, Map<String, Object> metadata) throws HL7Exception {
                try {
                    Path file = directory.resolve(String.format("%06d.hl7", count.incrementAndGet()));
                    Files.writeString(file, (String) metadata.get(MetadataKeys.IN_RAW_MESSAGE), StandardCharsets.UTF_8);
                    Terser terser = new Terser(message);
                    Json.say(Json.fields("file", file.toString(), "control_id", terser.get("/MSH-10"), "type", type(message)));
                    return message.generateACK(code, null);
                } catch (IOException error) {
                    throw new HL7Exception(error);
                }
            }

            @Override
            public boolean canProcess(Message message) {
                return true;
            }
        });
        server.startAndWait();
        while (System.in.read() >= 0) {
            // Stays until the caller closes stdin.
        }
        server.stopAndWait();
    }

    /** The port that {@link #loopbackOnly} will take; HAPI wants to know it before it listens. */
    private static int freePort() throws IOException {
        try (ServerSocket probe = new ServerSocket(0, 1, InetAddress.getByName(HOST))) {
            return probe.getLocalPort();
        }
    }

    private static SocketFactory loopbackOnly() {
        return new StandardSocketFactory() {
            @Override
            public ServerSocket createServerSocket() throws IOException {
                return new ServerSocket() {
                    @Override
                    public void bind(java.net.SocketAddress address, int backlog) throws IOException {
                        super.bind(new InetSocketAddress(HOST, ((InetSocketAddress) address).getPort()), backlog);
                        Json.say(Json.fields("listening", getLocalPort()));
                    }

                    @Override
                    public void bind(java.net.SocketAddress address) throws IOException {
                        bind(address, 0);
                    }
                };
            }
        };
    }

    private void build() throws Exception {
        RDE_O11 message = lenient().newMessage(RDE_O11.class);
        message.initQuickstart("RDE", "O11", "P");
        var msh = message.getMSH();
        msh.getSendingApplication().getNamespaceID().setValue("HIS");
        msh.getSendingFacility().getNamespaceID().setValue("PEER_JAVA");
        msh.getReceivingApplication().getNamespaceID().setValue("NDPHUB");
        msh.getReceivingFacility().getNamespaceID().setValue("HEALTHFLOW");
        msh.getMessageControlID().setValue(options.get("control-id"));
        msh.getCharacterSet(0).setValue("UNICODE UTF-8");
        var pid = message.getPATIENT().getPID();
        pid.getPatientIdentifierList(0).getIDNumber().setValue("28001010100013");
        pid.getPatientIdentifierList(0).getAssigningAuthority().getNamespaceID().setValue("EGNID");
        pid.getPatientIdentifierList(0).getIdentifierTypeCode().setValue("NI");
        pid.getPatientName(0).getFamilyName().getSurname().setValue("السيد");
        pid.getPatientName(0).getGivenName().setValue("محمد");
        var order = message.getORDER();
        order.getORC().getOrderControl().setValue("NW");
        order.getORC().getPlacerOrderNumber().getEntityIdentifier().setValue(options.get("order"));
        order.getORC().getPlacerOrderNumber().getNamespaceID().setValue("HIS");
        order.getORC().getOrderingProvider(0).getIDNumber().setValue("12345");
        var rxe = order.getRXE();
        rxe.getGiveCode().getIdentifier().setValue("6221234567891");
        rxe.getGiveCode().getText().setValue("AUGMENTIN 1G TAB");
        rxe.getGiveCode().getNameOfCodingSystem().setValue("GTIN");
        rxe.getGiveAmountMinimum().setValue("1");
        rxe.getGiveUnits().getIdentifier().setValue("TAB");
        rxe.getGiveUnits().getText().setValue("Tablet");
        rxe.getGiveUnits().getNameOfCodingSystem().setValue("HL70292");
        order.getTIMING_ENCODED().getTQ1().getRepeatPattern(0).getRepeatPatternCode().getIdentifier().setValue("BID");
        order.getRXR().getRoute().getIdentifier().setValue("PO");
        order.getRXR().getRoute().getText().setValue("Oral");
        order.getRXR().getRoute().getNameOfCodingSystem().setValue("HL70162");
        Files.writeString(Path.of(options.get("out")), message.encode(), StandardCharsets.UTF_8);
    }

    private void judge() throws Exception {
        HapiContext context = context(ValidationContextFactory.defaultValidation());
        for (Path file : files) {
            try {
                Message message = context.getPipeParser().parse(unframed(file));
                boolean typed = !(message instanceof GenericMessage);
                Json.say(Json.fields("file", file.toString(), "valid", typed, "structure", message.getName(),
                        "why", typed ? "" : "no class for the structure in MSH-9"));
            } catch (HL7Exception error) {
                Json.say(Json.fields("file", file.toString(), "valid", false, "structure", "", "why", error.getMessage()));
            }
        }
    }

    private static String type(Message message) throws HL7Exception {
        Terser terser = new Terser(message);
        return terser.get("/MSH-9-1") + "^" + terser.get("/MSH-9-2") + "^" + terser.get("/MSH-9-3");
    }

    /** What an acknowledgement says, as HAPI reads it. */
    private static Map<String, Object> describe(Message answer, String raw) throws HL7Exception {
        Terser terser = new Terser(answer);
        List<String> errors = new ArrayList<>();
        for (String segment : raw.split("[\r\n]+")) {
            if (segment.startsWith("ERR")) {
                String[] parts = segment.split("\\|", -1);
                errors.add(parts.length > 3 ? parts[3].split("\\^", -1)[0] : "");
            }
        }
        return Json.fields("code", terser.get("/MSA-1"), "acknowledges", terser.get("/MSA-2"), "type", type(answer),
                "version", answer.getVersion(), "errors", errors, "raw", raw);
    }
}
