import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.common.utils.Exit;

/** Runs the main method of a command line tool inside this JVM and catches what it prints. */
final class Tool {
    interface Main {
        void run(String[] args) throws Exception;
    }

    /** Thrown where the tool would end the process. */
    private static final class Ended extends RuntimeException {
    }

    private static final int RUNNING = -1;

    final int status;
    final String output;

    private Tool(int status, String output) {
        this.status = status;
        this.output = output;
    }

    static Tool run(Main main, String... args) throws Exception {
        return runWith(main, "", args);
    }

    /** Standard output and error together, and the exit status. */
    static Tool runWith(Main main, String input, String... args) throws Exception {
        ByteArrayOutputStream output = new ByteArrayOutputStream();
        int status = drive(main, input, output, args);
        return new Tool(status, output.toString(StandardCharsets.UTF_8));
    }

    /** For a tool that ends the JVM past Kafka's Exit: a JVM of its own. */
    static Tool fork(Class<?> main, String... args) throws Exception {
        List<String> command = new ArrayList<>(List.of("java", "-Xmx256m", "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path"), main.getName()));
        command.addAll(List.of(args));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Tool(process.waitFor(), output);
    }

    /** The exit status is the first one: many tools catch what ends them and exit once more. */
    static int drive(Main main, String input, OutputStream output, String... args) throws Exception {
        PrintStream out = System.out;
        PrintStream err = System.err;
        InputStream in = System.in;
        PrintStream caught = new PrintStream(output, true, StandardCharsets.UTF_8);
        AtomicInteger first = new AtomicInteger(RUNNING);
        Exit.Procedure end = (status, message) -> {
            if (first.compareAndSet(RUNNING, status)) {
                System.setOut(new PrintStream(OutputStream.nullOutputStream()));
                System.setErr(System.out);
            }
            throw new Ended();
        };
        Exit.setExitProcedure(end);
        Exit.setHaltProcedure(end);
        // Some flush and report only while the process ends.
        List<Runnable> hooks = new ArrayList<>();
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        System.setOut(caught);
        System.setErr(caught);
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        try {
            main.run(args);
        } catch (Ended ended) {
            // The status says how.
        } finally {
            System.setOut(caught);
            System.setErr(caught);
            hooks.forEach(Runnable::run);
            caught.flush();
            System.setOut(out);
            System.setErr(err);
            System.setIn(in);
        }
        return Math.max(first.get(), 0);
    }

    /** The tool must have ended well. */
    Tool ok() {
        Report.require(status == 0, "exit status " + status + "\n" + output);
        return this;
    }

    Tool has(String... parts) {
        for (String part : parts) {
            Report.require(output.contains(part), "'" + part + "' is missing in\n" + output);
        }
        return this;
    }

    Tool lacks(String part) {
        Report.require(!output.contains(part), "'" + part + "' is in\n" + output);
        return this;
    }
}
