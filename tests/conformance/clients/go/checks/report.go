// Package checks holds what every Go client must be able to do, through a small adapter each.
package checks

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Bootstrap is the address of the broker under test.
var Bootstrap = os.Getenv("KLAMM_BOOTSTRAP")

// Brokers are the addresses of all brokers.
var Brokers = slices.Sorted(slices.Values(strings.Split(os.Getenv("KLAMM_BROKERS"), ",")))

// Replicas of every topic: one on each broker.
var Replicas = len(Brokers)

const limit = 60 * time.Second

var (
	filter = os.Getenv("KLAMM_CHECKS")
	stdin  = bufio.NewReader(os.Stdin)
)

type failure string

// Check runs one check; a panic is its failure.
func Check(name string, run func()) {
	if !strings.Contains(name, filter) {
		return
	}
	say(map[string]any{"begin": name})
	detail := caught(run)
	say(map[string]any{"check": name, "ok": detail == "", "detail": detail})
}

// Done is the last line; it ends the program whatever goroutines are left.
func Done() {
	say(map[string]any{"done": true})
	os.Exit(0)
}

// Must fails the check on an error.
func Must(err error) {
	if err != nil {
		panic(failure(err.Error()))
	}
}

// Get is Must with a value.
func Get[T any](value T, err error) T {
	Must(err)
	return value
}

// Same fails the check when the two differ in their printed form.
func Same(expected, actual any, what string) {
	e, a := fmt.Sprintf("%v", expected), fmt.Sprintf("%v", actual)
	Require(e == a, "%s: expected %s but found %s", what, e, a)
}

// Require fails the check with a message.
func Require(holds bool, format string, args ...any) {
	if !holds {
		panic(failure(fmt.Sprintf(format, args...)))
	}
}

// Await looks again until it holds, up to a deadline.
func Await(what string, holds func() bool) {
	deadline := time.Now().Add(limit)
	for !holds() {
		Require(time.Now().Before(deadline), "waited in vain: %s", what)
		time.Sleep(20 * time.Millisecond)
	}
}

// RestartBroker has the broker restarted, "kill" or "stop"; it answers again when this returns.
func RestartBroker(how string) {
	say(map[string]any{"broker": how})
	line, err := stdin.ReadString('\n')
	Must(err)
	Same("ready", strings.TrimSpace(line), "answer of the runner")
}

func caught(run func()) (detail string) {
	defer func() {
		switch cause := recover().(type) {
		case nil:
		case failure:
			detail = string(cause)
		case refusal:
			detail = cause.err.Error()
		default:
			detail = fmt.Sprintf("panic: %v", cause)
		}
	}()
	run()
	return ""
}

func say(line map[string]any) {
	text, err := json.Marshal(line)
	Must(err)
	fmt.Println(string(text))
}
