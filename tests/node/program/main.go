// Command program is all that the images of the node tests hold: what a container does is said by its arguments.
//
//	program print TEXT... [then STEP]...
//
// Steps are done one after the other, and after the last the program ends with exit code 0:
//
//	print TEXT...        a line on standard output
//	sleep DURATION       2, or 1500ms
//	exit CODE            ends here
//	until N FILE CODE    ends here with this exit code as long as the file has fewer than N lines
//	append FILE TEXT...  a line at the end of a file
//	wait FILE            until the file exists
//	serve PORT           answers every HTTP request with the name of its pod, without end
//	get URL              asks until the answer is 200, and prints it
//	launch FILE          what a master does: sends the Job in FILE to the API server with the pod's own token
//	pause                waits without end; as process 1, it buries orphans
//	linger DURATION      from now on SIGTERM ends it after so long
//
// SIGTERM ends it with exit code 143, at once unless it was told to linger.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// Where a kubelet mounts the token, the namespace and the authority of the API server.
	account = "/var/run/secrets/kubernetes.io/serviceaccount/"
	// How long to ask again, and how often: rules of a Service, or a template, reach those concerned after a moment.
	patience = 60 * time.Second
	between  = 100 * time.Millisecond
)

// How long it takes to end, once it is told to.
var lingers atomic.Int64

func main() {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-terminated
		time.Sleep(time.Duration(lingers.Load()))
		os.Exit(128 + int(syscall.SIGTERM))
	}()
	for _, words := range steps(os.Args[1:]) {
		if err := do(words[0], words[1:]); err != nil {
			fmt.Fprintf(os.Stderr, "program: %s: %v\n", strings.Join(words, " "), err)
			os.Exit(1)
		}
	}
}

// steps cuts the arguments at each "then".
func steps(words []string) (steps [][]string) {
	for start := 0; start < len(words); {
		end := start
		for end < len(words) && words[end] != "then" {
			end++
		}
		if end > start {
			steps = append(steps, words[start:end])
		}
		start = end + 1
	}
	return steps
}

func do(step string, words []string) error {
	first := ""
	if len(words) > 0 {
		first = words[0]
	}
	switch step {
	case "print":
		fmt.Println(strings.Join(words, " "))
		return nil
	case "sleep":
		return sleep(first)
	case "exit":
		code, err := strconv.Atoi(first)
		if err != nil {
			return err
		}
		os.Exit(code)
		return nil
	case "until":
		if len(words) != 3 {
			return errors.New("how many lines of which file, and which exit code?")
		}
		return until(first, words[1], words[2])
	case "append":
		if len(words) < 1 {
			return errors.New("which file?")
		}
		return appendLine(first, strings.Join(words[1:], " "))
	case "wait":
		return wait(first)
	case "serve":
		return serve(first)
	case "get":
		return get(first)
	case "launch":
		return launch(first)
	case "pause":
		return pause()
	case "linger":
		duration, err := time.ParseDuration(first)
		lingers.Store(int64(duration))
		return err
	default:
		return errors.New("no such step")
	}
}

func sleep(text string) error {
	if seconds, err := strconv.Atoi(text); err == nil {
		time.Sleep(time.Duration(seconds) * time.Second)
		return nil
	}
	duration, err := time.ParseDuration(text)
	time.Sleep(duration)
	return err
}

func until(lines, path, code string) error {
	least, err := strconv.Atoi(lines)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if bytes.Count(text, []byte("\n")) < least {
		return do("exit", []string{code})
	}
	return nil
}

func appendLine(path, text string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, text)
	return errors.Join(err, file.Close())
}

func wait(path string) error {
	for {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		time.Sleep(between)
	}
}

func serve(port string) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	return http.ListenAndServe(":"+port, http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(answer, name)
	}))
}

func get(url string) error {
	client := http.Client{Timeout: 5 * time.Second}
	return persist(func() (int, []byte, error) { return answered(client.Get(url)) })
}

// launch sends a manifest as any client in a cluster does. A master's template may not have reached the webhook yet, so
// that a refusal is asked about again.
func launch(path string) error {
	manifest, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return err
	}
	namespace, err := os.ReadFile(account + "namespace")
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	client := http.Client{Timeout: 15 * time.Second, Transport: transport}
	server := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	url := fmt.Sprintf("https://%s/apis/batch/v1/namespaces/%s/jobs", server, namespace)
	return persist(func() (int, []byte, error) {
		request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(manifest))
		if err != nil {
			return 0, nil, err
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		request.Header.Set("Content-Type", "application/yaml")
		return answered(client.Do(request))
	})
}

func answered(answer *http.Response, err error) (int, []byte, error) {
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, body, err
}

// persist asks until there is a success, and prints it.
func persist(ask func() (int, []byte, error)) error {
	for started := time.Now(); ; time.Sleep(between) {
		code, body, err := ask()
		if err == nil && code/100 == 2 {
			fmt.Printf("%s\n", bytes.TrimSpace(body))
			return nil
		}
		told := fmt.Sprintf("%d %s", code, bytes.TrimSpace(body))
		if err != nil {
			told = err.Error()
		}
		if time.Since(started) > patience {
			return errors.New(told)
		}
	}
}

// pause waits without end. Orphans of a PID namespace are its first process's to bury.
func pause() error {
	orphans := make(chan os.Signal, 16)
	signal.Notify(orphans, syscall.SIGCHLD)
	for {
		for {
			if buried, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != nil || buried <= 0 {
				break
			}
		}
		<-orphans
	}
}
