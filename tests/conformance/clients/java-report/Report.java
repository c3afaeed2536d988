import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Set;
import java.util.function.BooleanSupplier;

/** The lines that the runner reads, and how a check waits and fails. */
public final class Report {
    public interface Check {
        void run() throws Exception;
    }

    /** Seen from inside the program: what the runner passes in its environment. */
    public static final String BOOTSTRAP = System.getenv("KLAMM_BOOTSTRAP");
    /** The addresses of all brokers. */
    public static final Set<String> BROKERS = Set.of(env("KLAMM_BROKERS").split(","));
    /** Of every topic: a replica on each broker. */
    public static final short REPLICAS = (short) BROKERS.size();

    private static final long WAIT_MS = 60_000;
    private static final String FILTER = env("KLAMM_CHECKS");
    /** The real standard output, also while System.out is redirected. */
    private static final PrintStream OUT =
        new PrintStream(new FileOutputStream(FileDescriptor.out), true);
    private static final BufferedReader IN =
        new BufferedReader(new InputStreamReader(System.in));

    private Report() {
    }

    public static void check(String name, Check check) {
        if (!name.contains(FILTER)) {
            return;
        }
        OUT.println("{\"begin\": " + quote(name) + "}");
        String error = null;
        try {
            check.run();
        } catch (Throwable failure) {
            StringWriter trace = new StringWriter();
            failure.printStackTrace(new PrintWriter(trace));
            error = trace.toString();
        }
        outcome(name, error);
    }

    /** A check that was done already; {@code error} is null when it is fine. */
    public static void outcome(String name, String error) {
        String detail = error == null ? "" : error.substring(0, Math.min(error.length(), 3000));
        OUT.println("{\"check\": " + quote(name) + ", \"ok\": " + (error == null)
            + ", \"detail\": " + quote(detail) + "}");
    }

    /** Has the broker restarted, {@code kill} or {@code stop}; returns when it answers again. */
    public static void restartBroker(String how) throws Exception {
        OUT.println("{\"broker\": " + quote(how) + "}");
        require("ready".equals(IN.readLine()), "the runner did not restart the broker");
    }

    /** The last line; ends the program whatever threads are left. */
    public static void done() {
        OUT.println("{\"done\": true}");
        OUT.flush();
        Runtime.getRuntime().halt(0);
    }

    public static void require(boolean holds, String message) {
        if (!holds) {
            throw new AssertionError(message);
        }
    }

    public static void same(Object expected, Object actual, String what) {
        require(expected == null ? actual == null : expected.equals(actual),
            what + ": expected " + expected + " but found " + actual);
    }

    /** Looks again until it holds, up to a deadline. */
    public static void await(String what, BooleanSupplier holds) throws InterruptedException {
        long deadline = System.currentTimeMillis() + WAIT_MS;
        while (!holds.getAsBoolean()) {
            require(System.currentTimeMillis() < deadline, "waited in vain: " + what);
            Thread.sleep(20);
        }
    }

    private static String env(String name) {
        String value = System.getenv(name);
        return value == null ? "" : value;
    }

    private static String quote(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append(c);
            } else if (c < ' ' || c > '~') {
                quoted.append(String.format("\\u%04x", (int) c));
            } else {
                quoted.append(c);
            }
        }
        return quoted.append('"').toString();
    }
}
