import java.io.File;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Kafka Connect standalone: a file becomes a topic, and the topic a file. */
public final class ConnectChecks {
    private static final Path DIR = Path.of(System.getenv("KLAMM_SCRATCH"));
    private static final Path FROM = DIR.resolve("from.txt");
    private static final Path TO = DIR.resolve("to.txt");
    private static final HttpClient HTTP = HttpClient.newHttpClient();

    private static Process worker;
    private static int lines;

    private ConnectChecks() {
    }

    public static void main(String[] args) throws Exception {
        Files.createFile(FROM);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> worker.destroyForcibly()));
        Report.check("file-to-file", ConnectChecks::fileToFile);
        Report.check("status", ConnectChecks::status);
        Report.check("survives-a-broker-restart", ConnectChecks::brokerRestart);
        Report.check("resumes", ConnectChecks::resumes);
        worker.destroyForcibly().waitFor();
        Report.done();
    }

    private static void fileToFile() throws Exception {
        start();
        append(200);
        arrives();
    }

    private static void status() throws Exception {
        for (String name : List.of("source", "sink")) {
            Report.await(name + " runs",
                () -> get("/connectors/" + name + "/status").contains("\"RUNNING\",\"worker_id\""));
        }
        Report.require(get("/connectors/sink/status").contains("\"tasks\":[{\"id\":0,\"state\":\"RUNNING\""),
            "the task of the sink");
    }

    private static void brokerRestart() throws Exception {
        Report.restartBroker("kill");
        append(50);
        arrives();
    }

    /** The offsets of the sink are in the broker and those of the source in a file. */
    private static void resumes() throws Exception {
        worker.destroy();
        worker.waitFor();
        start();
        append(50);
        arrives();
    }

    private static void append(int count) throws Exception {
        String text = IntStream.range(lines, lines + count).mapToObj(i -> "line " + i + "\n")
            .collect(Collectors.joining());
        lines += count;
        Files.writeString(FROM, text, StandardOpenOption.APPEND);
    }

    /** Every line at least once and the first arrivals in order. */
    private static void arrives() throws Exception {
        List<String> expected = Files.readAllLines(FROM);
        Report.await(expected.size() + " lines", () -> distinct().size() >= expected.size());
        Report.same(expected, distinct(), "lines");
    }

    private static List<String> distinct() {
        try {
            return TO.toFile().exists()
                ? Files.readAllLines(TO).stream().distinct().collect(Collectors.toList())
                : List.of();
        } catch (java.io.IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }

    private static void start() throws Exception {
        Path port = DIR.resolve("port");
        int rest = freePort();
        String converter = "org.apache.kafka.connect.storage.StringConverter";
        Path config = write("worker.properties",
            "bootstrap.servers=" + Report.BOOTSTRAP,
            "key.converter=" + converter, "value.converter=" + converter,
            "offset.storage.file.filename=" + DIR.resolve("offsets"),
            "offset.flush.interval.ms=500", "listeners=http://127.0.0.1:" + rest,
            "plugin.discovery=SERVICE_LOAD", "plugin.path=" + plugins(),
            "consumer.session.timeout.ms=6000", "consumer.heartbeat.interval.ms=300",
            "consumer.reconnect.backoff.max.ms=200", "producer.reconnect.backoff.max.ms=200");
        Path source = write("source.properties", "name=source", "tasks.max=1",
            "connector.class=org.apache.kafka.connect.file.FileStreamSourceConnector",
            "file=" + FROM, "topic=lines");
        Path sink = write("sink.properties", "name=sink", "tasks.max=1",
            "connector.class=org.apache.kafka.connect.file.FileStreamSinkConnector",
            "file=" + TO, "topics=lines");
        Files.writeString(port, Integer.toString(rest));
        List<String> command = new ArrayList<>(List.of("setpriv", "--pdeathsig", "KILL", "--", "java",
            "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
            System.getProperty("java.class.path"),
            "org.apache.kafka.connect.cli.ConnectStandalone"));
        command.addAll(List.of(config.toString(), source.toString(), sink.toString()));
        worker = new ProcessBuilder(command).redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(DIR.resolve("../worker.log").toFile()))
            .start();
    }

    /** Service loading would do, but the plug-in path must name something that exists. */
    private static String plugins() {
        File dir = DIR.resolve("plugins").toFile();
        dir.mkdir();
        return dir.toString();
    }

    private static Path write(String name, String... properties) throws Exception {
        return Files.writeString(DIR.resolve(name), String.join("\n", properties) + "\n");
    }

    private static String get(String path) {
        try {
            String port = Files.readString(DIR.resolve("port"));
            HttpRequest request =
                HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path)).build();
            return HTTP.send(request, HttpResponse.BodyHandlers.ofString()).body();
        } catch (java.io.IOException notYet) {
            return "";
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException(interrupted);
        }
    }

    private static int freePort() throws Exception {
        try (java.net.ServerSocket socket = new java.net.ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }
}
